"""Which trial is best: the one with the highest score, of equal ones the first. Plain: numpy only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from search.history import TrialRecord, TrialStatus
from search.scoring.forgiving_factor import ForgivingFactor


@dataclass(frozen=True, slots=True)
class ScoredTrial:
    """A measured trial and its score."""

    trial: TrialRecord
    score: float


def best_first(scores: Sequence[float] | NDArray[np.float64], count: int | None = None) -> NDArray[np.intp]:
    """Indexes of the `count` highest scores, best first, of equal ones the first. NaN is never among them."""
    values = np.asarray(scores, dtype=np.float64)
    order = np.argsort(-values, kind="stable")  # NaN is sorted to the end
    return order[: np.count_nonzero(~np.isnan(values))][:count]


def best_trial(
    history: Iterable[TrialRecord], factor: ForgivingFactor, reference: float
) -> ScoredTrial | None:
    """The trial that is DONE with the best score; None if no trial has one.

    `reference`: cost of the float network. Without a metric, or a cost above 0, or with NaN, a trial has no score.
    """
    scored = [
        ScoredTrial(trial, factor.score(trial.metric, trial.cost, reference))
        for trial in sorted(history, key=lambda trial: trial.number)
        if trial.status is TrialStatus.DONE
        and trial.metric is not None
        and trial.cost is not None
        and 0 < trial.cost < math.inf
    ]
    order = best_first([entry.score for entry in scored], 1)
    return scored[order[0]] if len(order) else None
