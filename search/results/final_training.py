"""The final training of a chosen trial, as its user asks for it. Plain pydantic."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from search.spec.base import Frozen


class FinalStatus(StrEnum):
    """Where a final training stands."""

    QUEUED = "queued"  #: asked for; no worker has it
    RUNNING = "running"  #: a worker trains it; its lease is fresh
    DONE = "done"  #: trained, and measured on validation and test data
    FAILED = "failed"  #: will not be tried again by itself; the reason is stored


class FinalSpec(Frozen):
    """What is asked for."""

    epochs: int = Field(ge=1, le=10_000, description="epochs to train on from the trial's best one")
