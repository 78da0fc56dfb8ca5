"""Which widths a search may change, and which layers its limits apply to. Plain."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from search.spec.base import MAX_ITEMS, MAX_LAYERS, Frozen
from search.spec.patterns import checked_pattern


class FilterTuning(Frozen):
    """Whether layer widths (Dense units, Conv filters) are searched, as 0.5, 0.75, 1, 1.5 or 2 times the model's."""

    by: Literal["none", "layer", "block"] = Field(
        "none", description="layer: one multiple per layer; block: one multiple for all layers"
    )
    exceptions: tuple[str, ...] = Field(
        (),
        max_length=MAX_ITEMS,
        description="patterns of layers that keep their width; a pattern matches a whole layer name",
    )

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
