"""The order in which the parts of a model are searched. Plain Pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator

from search.spec.base import Frozen, kind_name
from search.spec.patterns import checked_pattern


class WholeModelSchedule(Frozen):
    """Every trial makes all choices of the model."""

    kind: Literal["whole_model"] = "whole_model"


class PerBlockSchedule(Frozen):
    """Searches block after block. Each block starts from the best trial of the previous one, with its trained weights.

    Blocks share the budget in proportion to their cost in the reference. A choice that layers of several blocks share
    (one pattern of the limits) is made in the first of these blocks and then fixed.
    """

    kind: Literal["per_block"] = "per_block"
    blocks: tuple[str, ...] = Field(
        min_length=1,
        max_length=200,
        description="patterns of whole layer names; a layer belongs to the first that matches, layers in no block stay"
        " float",
    )
    order: Literal["sequential", "cost"] = Field(
        "sequential", description="sequential: as listed; cost: the most expensive block first"
    )
    settled_learning_rate: float = Field(
        0.1, ge=0, le=1, description="learning rate of layers in earlier blocks, as a share of the job's"
    )

    @field_validator("blocks")
    @classmethod
    def _compile(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted({pattern for pattern in value if value.count(pattern) > 1})
        if repeated:
            raise ValueError(f"listed more than once: {', '.join(repeated)}")
        return tuple(checked_pattern(pattern) for pattern in value)


#: A bare string selects that kind with its defaults.
ScheduleSpec = Annotated[
    WholeModelSchedule | PerBlockSchedule, Field(discriminator="kind"), BeforeValidator(kind_name)
]
