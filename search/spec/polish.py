"""What follows a search: whether bits of its trials are lowered once more, tensor by tensor. Plain Pydantic."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from search.spec.base import Frozen, kind_name
from search.spec.schedule import ScheduleSpec, WholeModelSchedule


class NoPolish(Frozen):
    """The search ends with its budget."""

    kind: Literal["off"] = "off"


class BitsPolish(Frozen):
    """After the last trial, bits of single tensors are lowered while the metric holds; nothing is trained.

    What comes out is a trial more, which does not count against the budget.
    """

    kind: Literal["bits"] = "bits"
    of: Literal["best", "front"] = Field(
        "best", description="best: the trial with the best score; front: every trial on the front, one by one"
    )
    drop: float = Field(
        0.0,
        ge=0,
        le=1,
        description="largest loss of the metric on the validation data; of a minimised metric as a share of it",
    )


#: A bare string selects that kind with its defaults.
PolishSpec = Annotated[NoPolish | BitsPolish, Field(discriminator="kind"), BeforeValidator(kind_name)]


def polish_fault(polish: PolishSpec, schedule: ScheduleSpec) -> str | None:
    """Why a job cannot be polished, and what to set; None if it can, or is not to be."""
    if isinstance(polish, NoPolish) or isinstance(schedule, WholeModelSchedule):
        return None
    return (
        f"polish lowers bits of the whole network, and the schedule {schedule.kind} settles them block by block: set"
        " polish to off or schedule to whole_model"
    )
