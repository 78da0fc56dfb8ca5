"""The frugal oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.history import Assignment, TrialStatus
from search.oracles.base import OracleContext
from search.oracles.candidates import Candidates
from search.oracles.gains import score_improvement
from search.scoring.forgiving_factor import ForgivingFactor
from search.spec.objective import Direction
from tests.contracts.test_oracles import LARGE
from tests.search.searches import (
    PRICER,
    REFERENCE,
    Outcome,
    Search,
    bits,
    failed,
    make_choices,
    make_spec,
    measured,
)

# --- frugal --------------------------------------------------------------------------------------------------------


def test_frugal_finds_what_a_known_cost_makes_best() -> None:
    """The metric is the same everywhere: only the cost matters, and that needs no trial to be known."""
    search = Search(
        make_spec("frugal", trials=6), LARGE, lambda a: (TrialStatus.DONE, 0.9, 10.0 * bits(a))
    ).run()
    assert min(bits(trial.assignment) for trial in search.history) == 10


def test_no_proposal_of_frugal_breaks_a_constraint() -> None:
    search = Search(make_spec("frugal", trials=25, constraints={"max_bits": 15}), LARGE).run()
    assert max(bits(trial.assignment) for trial in search.history) <= 15


def test_frugal_on_the_front_covers_more_of_it_than_on_the_score() -> None:
    def covered(gain: str) -> int:
        oracle = {"kind": "frugal", "gain": gain, "candidates": 60}
        history = Search(make_spec(oracle=oracle, trials=20), LARGE, measured).run().history
        return len({bits(trial.assignment) for trial in history})

    assert covered("front") > covered("score")


def test_frugal_finds_the_best_of_those_that_do_not_fail() -> None:
    """Cheap networks fail; the cheapest that does not is found, among 3,675, in a few trials."""

    def narrow_fails(assignment: Assignment) -> Outcome:
        first = assignment.quantizers["layer0"]["kernel"]
        return failed(assignment) if first and first.bits < 5 else measured(assignment)

    history = Search(make_spec("frugal", trials=25), LARGE, narrow_fails).run().history
    assert min(bits(trial.assignment) for trial in history if trial.status is TrialStatus.DONE) == 5 + 4 * 2


@pytest.mark.parametrize("gain", ["score", "front"])
def test_running_trials_of_frugal_count_as_measured_at_their_prediction(gain: str) -> None:
    """So the next proposal keeps away from them, unlike from a cancelled trial, which is only known to be tried."""

    def next_proposal(status: TrialStatus, seed: int) -> tuple[Assignment, Assignment]:
        oracle = {"kind": "frugal", "gain": gain, "candidates": 60, "initial_points": 5}
        search = Search(make_spec(oracle=oracle, trials=30, seed=seed), LARGE)
        for _ in range(8):
            search.add(search.propose(1))
            search.end_first()
        search.add(search.propose(1))
        search.history[-1] = replace(search.history[-1], status=status)
        return search.history[-1].assignment, search.propose(1).trials[0].assignment

    def distance(one: Assignment, other: Assignment) -> int:
        pairs = [(one.quantizers[f"layer{i}"], other.quantizers[f"layer{i}"]) for i in range(5)]
        return sum(a != b for a, b in pairs)

    seeds = range(6)
    running = [next_proposal(TrialStatus.RUNNING, seed) for seed in seeds]
    ignored = [next_proposal(TrialStatus.CANCELLED, seed) for seed in seeds]
    assert [first for first, _ in running] == [first for first, _ in ignored]
    far, near = ([distance(*pair) for pair in pairs] for pairs in (running, ignored))
    assert sum(far) > sum(near)


merits = st.floats(0.01, 1)


@given(merits, merits, st.floats(1, 1e6), st.sampled_from(["max", "min"]))
def test_what_frugal_expects_of_a_certain_metric_is_the_gain_of_its_score(
    metric: float, best_metric: float, cost: float, direction: Direction
) -> None:
    """Without uncertainty the expected improvement is the difference of two scores, by the one rule of scores."""
    spec = make_spec("frugal")
    factor = ForgivingFactor(direction=direction)
    best_merit = 1.0 if direction == "max" else 0.0
    context = OracleContext(LARGE, 1, 1, PRICER, factor, REFERENCE, spec.constraints, best_merit)
    incumbent = factor.score(best_metric, 300.0, REFERENCE)
    improvement = score_improvement(
        context, incumbent, np.array([cost]), np.array([factor.merit(metric)]), np.array([1e-9])
    )
    expected = max(factor.score(metric, cost, REFERENCE) - incumbent, 0.0)
    assert improvement[0] == pytest.approx(expected, abs=1e-6)


def error_of_bits(assignment: Assignment) -> Outcome:
    """An error that falls with the bits, at one cost for all."""
    return TrialStatus.DONE, 100.0 / bits(assignment), 500.0


@pytest.mark.parametrize(
    "oracle",
    [
        {"kind": "frugal", "candidates": 60},
        {"kind": "frugal", "candidates": 60, "gain": "front"},
        {"kind": "bayesian", "num_initial_points": 5},
    ],
)
def test_a_metric_that_is_better_when_smaller_is_searched_downwards(oracle: dict[str, Any]) -> None:
    spec = make_spec(oracle=oracle, trials=30, objective="mse")
    history = Search(spec, LARGE, error_of_bits).run().history
    random = Search(make_spec(trials=30, objective="mse"), LARGE, error_of_bits).run().history
    late, baseline = ([bits(trial.assignment) for trial in trials[15:]] for trials in (history, random))
    assert np.mean(late) > np.mean(baseline) + 2
    assert max(late) >= max(baseline)


def test_the_first_trials_of_frugal_are_the_least_damaged_of_their_cost() -> None:
    """Of 40 assignments with 20 bits, say, the one whose bits are spread evenly has the least rounding errors."""
    [first] = Search(make_spec(oracle={"kind": "frugal", "candidates": 2000}), LARGE).propose(1).trials
    wide = [spec.bits for slots in first.assignment.quantizers.values() for spec in slots.values() if spec]
    assert max(wide) - min(wide) <= 2


def test_rows_and_values_are_two_forms_of_one_assignment() -> None:
    choices = make_choices(4, 1, 3, widths=((8, (0.5, 1.0, 2.0)),))
    candidates = Candidates(choices)
    for row in candidates.random(20, np.random.default_rng(0)):
        values = candidates.values(row)
        assert choices.assignment(values)
        assert list(candidates.row(values)) == list(row)


def test_neighbours_differ_in_one_choice() -> None:
    candidates = Candidates(make_choices(4, 3))
    rows = candidates.neighbours(np.array([[1, 1]]))
    assert sorted(map(tuple, rows.tolist())) == [(0, 1), (1, 0), (1, 2), (2, 1), (3, 1)]


def test_defect_07_quantizers_are_told_apart_by_bits_not_by_place() -> None:
    """In the space 2, 3, ... 8 bits the first two are farther apart than the last two."""
    features = Candidates(make_choices(7)).encoded(np.arange(7)[:, None])
    assert np.linalg.norm(features[0] - features[1]) > np.linalg.norm(features[5] - features[6])
