"""When a search ends. Plain Pydantic."""

from __future__ import annotations

from pydantic import Field

from search.spec.base import Frozen


class Budget(Frozen):
    """When the search ends: as soon as one of these is used up. Trials that are never trained use nothing of it."""

    trials: int = Field(20, ge=1, le=100_000, description="number of trials")
    epochs: int | None = Field(
        None, ge=1, description="epochs of all trials together, in all of their executions; null: no limit"
    )
    seconds: float | None = Field(
        None, gt=0, description="seconds since the job started, pauses not counted; null: no limit"
    )
