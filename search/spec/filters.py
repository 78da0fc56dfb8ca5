"""Which widths a search may change, and which layers its limits apply to. Plain."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from search.spec.base import MAX_ITEMS, MAX_LAYERS, Frozen
from search.spec.patterns import checked_pattern

#: Of AutoQKeras.
FILTER_MULTIPLIERS: Final = (0.5, 0.75, 1.0, 1.5, 2.0)


class FilterTuning(Frozen):
    """Whether layer widths (Dense units, Conv filters) are searched, as multiples of the model's."""

    by: Literal["none", "layer", "block"] = Field(
        "none", description="layer: one multiple per layer; block: one multiple for all layers"
    )
    multipliers: tuple[Annotated[float, Field(gt=0, le=16)], ...] = Field(
        FILTER_MULTIPLIERS,
        min_length=1,
        max_length=32,
        description="the multiples of the model's widths to choose from, such as 0.25; a layer keeps at least one",
    )
    exceptions: tuple[str, ...] = Field(
        (),
        max_length=MAX_ITEMS,
        description="patterns of layers that keep their width; a pattern matches a whole layer name",
    )

    @field_validator("multipliers")
    @classmethod
    def _in_order(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a multiplier is listed more than once: list each once")
        return tuple(sorted(value))

    @field_validator("exceptions")
    @classmethod
    def _compile(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(checked_pattern(pattern) for pattern in value)


class LayerSelection(Frozen):
    """Which layers the limits apply to."""

    indexes: tuple[int, ...] | None = Field(
        None,
        max_length=MAX_LAYERS,
        description="indexes into the model's layers, the input layer included; null: all layers",
    )
