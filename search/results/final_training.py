"""The final training of a trial that its user has chosen. Plain pydantic."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from search.spec.base import Frozen
from search.spec.distillation import Distillation


class FinalStatus(StrEnum):
    """The status of a final training."""

    QUEUED = "queued"  #: requested; no worker has claimed it
    RUNNING = "running"  #: claimed by a worker; its lease is valid
    DONE = "done"  #: trained, and measured on validation and test data
    FAILED = "failed"  #: will not be retried automatically; the reason is stored


class FinalSpec(Frozen):
    """The request for a final training."""

    epochs: int = Field(ge=1, le=10_000, description="epochs to train on from the trial's best one")
    distill: Distillation | None = Field(
        None,
        description="the training learns from the float model as well as from the targets; {}: with the defaults; null:"
        " as the job's trials do",
    )
