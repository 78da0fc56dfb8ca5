"""Which trials keep their files: the front, the best, and what they or a larger budget start from."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from search.history import LANE, Assignment, TrialRecord, TrialStatus
from search.results.kept import front_of, kept_numbers
from search.scoring.forgiving_factor import MINIMIZE, ForgivingFactor

FACTOR = ForgivingFactor()


def record(
    number: int,
    metric: float | None,
    cost: float | None,
    *,
    parent: int | None = None,
    lane: int | None = None,
    status: TrialStatus = TrialStatus.DONE,
) -> TrialRecord:
    values = {} if lane is None else {LANE: lane}
    return TrialRecord(
        number,
        Assignment({}, {}),
        status,
        metric,
        cost,
        {"trial_id": str(number), "values": values},
        parent=parent,
    )


def test_the_front_the_best_and_the_parents_of_both_are_kept() -> None:
    history = [
        record(0, 0.5, 50.0),
        record(1, 0.9, 40.0, parent=0),
        record(2, 0.8, 60.0),
        record(3, 0.7, 10.0),
        record(4, 0.6, 30.0, parent=3),
    ]
    assert kept_numbers(history, FACTOR, best=2) == {0, 1, 2, 3}


def test_the_last_measured_stage_of_every_lane_is_kept() -> None:
    history = [
        record(0, 0.9, 10.0, lane=0),
        record(1, 0.8, 20.0, lane=1),
        record(2, 0.7, 30.0, parent=0, lane=0),
        record(3, 0.6, 40.0, parent=1, lane=1),
        record(4, None, None, parent=3, lane=1, status=TrialStatus.FAILED),
    ]
    assert kept_numbers(history, FACTOR, best=0) == {0, 2, 3}


def test_a_smaller_error_is_better() -> None:
    history = [record(0, 0.2, 10.0), record(1, 0.3, 20.0)]
    assert front_of(history, ForgivingFactor(direction=MINIMIZE)) == history[:1]
    assert front_of(history, FACTOR) == history


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(1, 100)), min_size=1))
def test_what_is_removed_is_dominated_by_something_that_is_kept(points: list[tuple[float, float]]) -> None:
    history = [record(number, metric, cost) for number, (metric, cost) in enumerate(points)]
    kept = kept_numbers(history, FACTOR, best=0)
    for number, (metric, cost) in enumerate(points):
        assert number in kept or any(
            points[other][0] >= metric and points[other][1] <= cost for other in kept
        )
