"""In which order the parts of a model are searched, as a job states it. Plain pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from search.spec.base import Frozen, kind_name
from search.spec.patterns import checked_pattern


class WholeModelSchedule(Frozen):
    """Every choice of the model in every trial."""

    kind: Literal["whole_model"] = "whole_model"


class PerBlockSchedule(Frozen):
    """Block after block, each quantized on top of the best trial of the one before, with its trained weights.

    `blocks` are patterns of whole layer names; a layer belongs to the first that matches, layers in none stay float.
    The budget is shared in proportion to what the blocks cost in the reference. A choice that layers of several blocks
    share (under one pattern of the limits) is made in the first of them and kept.
    """

    kind: Literal["per_block"] = "per_block"
    blocks: tuple[str, ...] = Field(min_length=1, max_length=200)
    order: Literal["sequential", "cost"] = Field("sequential", description="cost: the dearest block first")
    settled_learning_rate: float = Field(
        0.1, ge=0, le=1, description="learning rate of layers of earlier blocks, as a share of the job's"
    )

    @field_validator("blocks")
    @classmethod
    def _compile(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted({pattern for pattern in value if value.count(pattern) > 1})
        if repeated:
            raise ValueError(f"listed more than once: {', '.join(repeated)}")
        return tuple(checked_pattern(pattern) for pattern in value)


#: A word alone is a kind with its defaults.
ScheduleSpec = Annotated[
    WholeModelSchedule | PerBlockSchedule, Field(discriminator="kind"), BeforeValidator(kind_name)
]
