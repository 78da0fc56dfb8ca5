"""The model of the metric, and what may be expected to be gained."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.oracles.surrogate import excess, fit

CHANCE = np.random.default_rng(3)
FEATURES = CHANCE.normal(size=(60, 5))
METRICS = 0.8 + 0.05 * FEATURES[:, 0] - 0.03 * FEATURES[:, 1]


def test_a_sum_of_effects_is_learned_from_few_trials() -> None:
    model = fit(FEATURES[:20], METRICS[:20])
    mean, _ = model.predict(FEATURES[20:])
    assert np.abs(mean - METRICS[20:]).mean() < 0.25 * METRICS.std()


def test_what_was_measured_is_known_better_than_what_was_not() -> None:
    _, deviation = fit(FEATURES[:20], METRICS[:20]).predict(FEATURES)
    assert deviation[:20].mean() < 0.8 * deviation[20:].mean()


def test_trials_under_way_are_uncertain_no_more_and_change_no_guess_of_themselves() -> None:
    alone, waiting = fit(FEATURES[:20], METRICS[:20]), fit(FEATURES[:20], METRICS[:20], FEATURES[20:21])
    mean, deviation = alone.predict(FEATURES[20:21])
    again, smaller = waiting.predict(FEATURES[20:21])
    assert again == pytest.approx(mean, abs=1e-6)
    assert smaller < deviation


def test_metrics_that_are_all_the_same_are_expected_everywhere() -> None:
    mean, _ = fit(FEATURES[:5], np.full(5, 0.7)).predict(FEATURES[5:])
    assert mean == pytest.approx(0.7)


def test_a_few_trials_leave_it_open_which_kernel_is_right() -> None:
    model = fit(FEATURES[:4], METRICS[:4])
    found = [process.predict(FEATURES / model.unit) for process in model.processes]
    assert len(found) > 1
    assert sum(model.shares) == pytest.approx(1)
    mean, deviation = model.predict(FEATURES)
    scaled = sum(share * own for share, (own, _) in zip(model.shares, found, strict=True))
    assert mean == pytest.approx(model.mean + model.scale * scaled)
    own = sum(share * variance for share, (_, variance) in zip(model.shares, found, strict=True))
    assert (deviation >= model.scale * np.sqrt(own) - 1e-9).all()


def test_many_trials_are_answered_by_one_kernel() -> None:
    chance = np.random.default_rng(5)
    features = chance.normal(size=(160, 5))
    metrics = features[:, 0] + 0.5 * chance.normal(size=160)
    assert len(fit(features[:150], metrics[:150]).processes) > 1
    assert len(fit(features, metrics).processes) == 1


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.01, 2))
def test_the_expected_excess_is_that_of_a_sample(level: float, mean: float, deviation: float) -> None:
    sample = mean + deviation * np.random.default_rng(0).normal(size=40_000)
    expected = np.maximum(sample - level, 0).mean()
    assert float(excess(level, np.array(mean), np.array(deviation))) == pytest.approx(
        expected, abs=0.02 * deviation + 1e-6
    )
