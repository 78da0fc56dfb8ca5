"""The score of a job's trials: metric and cost under its goal. Computed at every read, stored nowhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import TypeAdapter

from search.scoring.forgiving_factor import forgiving_factor
from search.scoring.vectorized import Floats, scores
from search.spec.goals import Goal
from search.spec.objective import Objective
from service.store.models import Job
from service.store.reading import Scoring

_GOAL: TypeAdapter[Any] = TypeAdapter(Goal)

#: Score of a metric and a cost under a job's goal.
Scorer = Callable[[float, float], float]


def scorer(job: Job) -> Scorer:
    """The score under the job's goal."""
    return scoring(job).score


def scoring(job: Job, overrides: Mapping[str, float] | None = None) -> Scoring:
    """How the job scores: one trial, or many at once in SQL or NumPy.

    `overrides`: numbers that replace the goal's delta_p, delta_n, rate and stress.
    """
    direction = objective(job).direction
    goal = _GOAL.validate_python(job.spec["goal"] | dict(overrides or {}))
    return Scoring(forgiving_factor(goal, direction), job.reference_cost)


def objective(job: Job) -> Objective:
    """What the job optimizes; jobs stored by older versions do not name it."""
    return Objective.model_validate(job.spec.get("objective") or {})


def score_of(metric: Floats, cost: Floats, scoring: Scoring) -> Floats:
    """The scores of these metrics and costs."""
    return scores(metric, cost, factor=scoring.factor, reference=scoring.reference)
