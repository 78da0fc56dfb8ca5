"""The best trial: the highest score, of equal ones the first, and never one without a score."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.history import Assignment, TrialRecord, TrialStatus
from search.scoring.best import best_first, best_trial
from search.scoring.forgiving_factor import MINIMIZE, ForgivingFactor

FACTOR = ForgivingFactor()
REFERENCE = 100.0


def trial(number: int, metric: float | None = 0.5, cost: float | None = 50.0, **changes: Any) -> TrialRecord:
    return TrialRecord(
        number, Assignment({}, {}), **{"status": TrialStatus.DONE, "metric": metric, "cost": cost} | changes
    )


def best_number(*history: TrialRecord, factor: ForgivingFactor = FACTOR) -> int | None:
    best = best_trial(history, factor, REFERENCE)
    return None if best is None else best.trial.number


def test_the_trial_with_the_highest_score_is_best() -> None:
    best = best_trial([trial(0, 0.5), trial(1, 0.7), trial(2, 0.6)], FACTOR, REFERENCE)
    assert best is not None
    assert (best.trial.number, best.score) == (1, FACTOR.score(0.7, 50.0, REFERENCE))


def test_a_cheaper_trial_wins_by_its_factor() -> None:
    assert best_number(trial(0, 0.5, 100.0), trial(1, 0.49, 10.0)) == 1


def test_a_minimised_metric_is_best_when_smallest() -> None:
    factor = ForgivingFactor(direction=MINIMIZE)
    assert best_number(trial(0, 0.5), trial(1, 0.4), trial(2, 0.6), factor=factor) == 1


@pytest.mark.parametrize("numbers", [(3, 4, 7), (7, 4, 3), (4, 3, 7)])
def test_of_equal_trials_the_first_is_best(numbers: tuple[int, ...]) -> None:
    assert best_number(*(trial(number) for number in numbers), trial(0, 0.1)) == 3


@pytest.mark.parametrize(
    "unscored",
    [
        {"metric": None},
        {"cost": None},
        {"metric": math.nan},
        {"cost": math.nan},
        {"cost": 0.0},
        {"cost": math.inf},
        {"status": TrialStatus.PRUNED},
        {"status": TrialStatus.FAILED},
        {"status": TrialStatus.RUNNING},
    ],
)
def test_a_trial_without_a_score_is_never_best(unscored: dict[str, Any]) -> None:
    other = trial(0, **{"metric": 0.9, **unscored})
    assert best_number(other) is None
    assert best_number(other, trial(1, -0.5)) == 1


def test_without_trials_none_is_best() -> None:
    assert best_number() is None


values = st.lists(st.one_of(st.just(math.nan), st.integers(-3, 3).map(float)), max_size=20)


@given(values, st.integers(0, 25))
def test_the_best_of_many_are_in_order_without_nan(scores: list[float], count: int) -> None:
    numbers = [index for index, score in enumerate(scores) if not math.isnan(score)]
    expected = sorted(numbers, key=lambda index: (-scores[index], index))
    assert best_first(np.array(scores), count).tolist() == expected[:count]
    assert best_first(scores).tolist() == expected
