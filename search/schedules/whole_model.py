"""The whole model in one stage: every trial makes all choices."""

from __future__ import annotations

from search.history import Cost
from search.schedules.base import Stage
from search.space.choices import Choices
from search.spec.job import SearchSpec


def whole_model(spec: SearchSpec, choices: Choices, reference: Cost) -> tuple[Stage, ...]:
    """The whole budget on the whole space."""
    return (Stage(index=0, name="whole model", choices=choices, first=0, trials=spec.budget.trials),)
