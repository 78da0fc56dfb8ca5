"""The oracle that goes down the front, each trial continuing the one before."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from search.history import Assignment, TrialRecord
from search.spec.oracle import oracle_warnings
from tests.contracts.test_oracles import LARGE
from tests.search.searches import Outcome, Search, bits, failed, make_spec, measured

DESCENT = {"kind": "descent", "stages": 6}


def lanes(search: Search) -> dict[int, list[TrialRecord]]:
    by_lane: dict[int, list[TrialRecord]] = {}
    for record in search.history:
        by_lane.setdefault(record.oracle_trial["values"]["tuner/lane"], []).append(record)
    return by_lane


@pytest.mark.parametrize("parallel", [1, 3])
def test_every_stage_is_cheaper_and_continues_the_one_before(parallel: int) -> None:
    search = Search(make_spec(oracle=DESCENT, trials=6 * parallel), LARGE).run(parallel)
    by_lane = lanes(search)
    assert max(map(len, by_lane.values())) > 3
    assert len(by_lane) >= parallel  # a lane that has reached the cheapest network is followed by another
    whole = make_spec().training.epochs
    for records in by_lane.values():
        assert len(records) <= 6
        sums = [bits(record.assignment) for record in records]
        assert sums == sorted(set(sums), reverse=True)
        for stage, (before, record) in enumerate(zip([None, *records], records, strict=False)):
            assert record.parent == (None if before is None else before.number)
            assert (record.initial_epoch, record.epochs) == (stage * whole, (stage + 1) * whole)


def test_lanes_have_stages_between_those_of_the_others() -> None:
    search = Search(make_spec(oracle=DESCENT, trials=12), LARGE).run(parallel=2)
    first, second = ([bits(record.assignment) for record in records] for records in lanes(search).values())
    assert first != second


def test_a_stage_that_fails_is_left_out_of_the_descent() -> None:
    def outcome(assignment: Assignment) -> Outcome:
        return failed(assignment) if bits(assignment) % 3 == 0 else measured(assignment)

    search = Search(make_spec(oracle=DESCENT, trials=6), LARGE, outcome).run()
    parents = {record.parent for record in search.history}
    statuses = {record.number: record.status for record in search.history}
    assert all(statuses[parent] == "done" for parent in parents if parent is not None)


def test_a_descent_that_has_ended_is_followed_by_another() -> None:
    search = Search(make_spec(oracle=DESCENT, trials=9), LARGE).run()
    first, second = lanes(search).values()
    assert len(first) + len(second) == 9
    assert second[0].parent is None
    assert bits(second[0].assignment) > bits(first[-1].assignment)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"stopping": "median"}, "set stopping to off"),
        ({"training": {"executions": 2}}, "set training.executions to 1"),
        ({"training": {"decay": "cosine"}}, "set training.decay to none"),
    ],
)
def test_settings_that_would_break_a_descent_are_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        make_spec(oracle=DESCENT, **changes)


def test_a_budget_of_fewer_trials_than_stages_is_warned_of() -> None:
    spec = make_spec(oracle=DESCENT)
    assert "6 stages" in oracle_warnings(spec.oracle, 5, 10, 3)[0]
    assert oracle_warnings(spec.oracle, 6, 10, 3) == []
