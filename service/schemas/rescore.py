"""Rescoring: measured trials ranked under another goal."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from search.spec.base import Frozen
from search.spec.goals import NOT_REPRICED, Goal, refused
from service.schemas.jobs import PointView, View


class RescoreSpec(Frozen):
    """Another goal for a job's measured trials."""

    goal: Goal
    k: int = Field(10, ge=1, le=1000, description="number of trials")

    @field_validator("goal")
    @classmethod
    def _can_be_obeyed(cls, value: Goal) -> Goal:
        for name, reason in refused(value).items():
            raise ValueError(f"{name}: {reason}")
        if value.effective is not None:
            raise ValueError(f"effective: {NOT_REPRICED}")
        return value


class RescoreView(View):
    """The measured trials with the highest scores under another goal, best first; costs are those of that goal."""

    job_id: str
    goal: dict[str, Any]
    cost_unit: str
    reference_cost: float
    metric_name: str
    metric_is_share: bool
    items: tuple[PointView, ...]
