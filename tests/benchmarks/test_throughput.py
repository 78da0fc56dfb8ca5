"""The benchmark of proposals runs, and notices what grows."""

from __future__ import annotations

from benchmarks.throughput import MOST, PER_TRIAL_MS, faults, measure


def test_a_proposal_is_measured_at_each_size() -> None:
    figures = measure("random", (0, 8))
    assert set(figures) == {0, 8}
    assert all(milliseconds > 0 for milliseconds in figures.values())


def test_only_what_grows_too_much_is_a_fault() -> None:
    limit = MOST * (PER_TRIAL_MS + 10.0) - PER_TRIAL_MS
    fine = {"random": {100: 10.0, 10_000: limit - 0.1}}
    assert faults(fine) == []
    (fault,) = faults(fine | {"grid": {100: 10.0, 10_000: limit + 0.1}})
    assert fault.startswith("grid")
