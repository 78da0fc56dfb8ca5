"""The benchmark of proposals runs, and notices what grows."""

from __future__ import annotations

import pytest

from benchmarks.throughput import LEARNING_MS, MOST, PER_TRIAL_MS, faults, measure


@pytest.mark.parametrize("oracle", ["random", "frugal"])
def test_a_proposal_is_measured_at_each_size(oracle: str) -> None:
    figures = measure(oracle, (0, 8))
    assert set(figures) == {0, 8}
    assert all(milliseconds > 0 for milliseconds in figures.values())


def test_only_what_grows_too_much_is_a_fault() -> None:
    limit = MOST * (PER_TRIAL_MS + 10.0) - PER_TRIAL_MS
    fine = {"random": {100: 10.0, 10_000: limit - 0.1}}
    assert faults(fine) == []
    (fault,) = faults(fine | {"grid": {100: 10.0, 10_000: limit + 0.1}})
    assert fault.startswith("grid")


def test_oracles_that_learn_from_all_trials_have_a_limit_of_their_own() -> None:
    assert faults({"bayesian": {100: 10.0, 10_000: LEARNING_MS}}) == []
    (fault,) = faults({"bayesian": {100: 10.0, 10_000: LEARNING_MS + 1}})
    assert fault.startswith("bayesian")
