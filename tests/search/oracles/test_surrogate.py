"""The model of the metric, and the expected improvement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.oracles import surrogate
from search.oracles.surrogate import expected_improvement, fit, window

RNG = np.random.default_rng(3)
FEATURES = RNG.normal(size=(60, 5))
METRICS = 0.8 + 0.05 * FEATURES[:, 0] - 0.03 * FEATURES[:, 1]


def test_a_sum_of_effects_is_learned_from_few_trials() -> None:
    model = fit(FEATURES[:20], METRICS[:20])
    mean, _ = model.predict(FEATURES[20:])
    assert np.abs(mean - METRICS[20:]).mean() < 0.25 * METRICS.std()


def test_measured_trials_are_predicted_with_less_uncertainty() -> None:
    _, deviation = fit(FEATURES[:20], METRICS[:20]).predict(FEATURES)
    assert deviation[:20].mean() < 0.8 * deviation[20:].mean()


def test_a_running_trial_has_less_uncertainty_and_the_same_prediction() -> None:
    alone, pending = fit(FEATURES[:20], METRICS[:20]), fit(FEATURES[:20], METRICS[:20], FEATURES[20:21])
    mean, deviation = alone.predict(FEATURES[20:21])
    again, smaller = pending.predict(FEATURES[20:21])
    assert again == pytest.approx(mean, abs=1e-6)
    assert smaller < deviation


def test_equal_metrics_are_predicted_everywhere() -> None:
    mean, _ = fit(FEATURES[:5], np.full(5, 0.7)).predict(FEATURES[5:])
    assert mean == pytest.approx(0.7)


def test_few_trials_leave_several_kernels_likely() -> None:
    model = fit(FEATURES[:4], METRICS[:4])
    predictions = [process.predict(FEATURES / model.unit) for process in model.processes]
    assert len(predictions) > 1
    assert sum(model.shares) == pytest.approx(1)
    mean, deviation = model.predict(FEATURES)
    scaled = sum(share * average for share, (average, _) in zip(model.shares, predictions, strict=True))
    assert mean == pytest.approx(model.mean + model.scale * scaled)
    variance = sum(share * part for share, (_, part) in zip(model.shares, predictions, strict=True))
    assert (deviation >= model.scale * np.sqrt(variance) - 1e-9).all()


def test_many_trials_are_predicted_by_one_kernel() -> None:
    rng = np.random.default_rng(5)
    features = rng.normal(size=(160, 5))
    metrics = features[:, 0] + 0.5 * rng.normal(size=160)
    assert len(fit(features[:150], metrics[:150]).processes) > 1
    assert len(fit(features, metrics).processes) == 1


@given(st.floats(-2, 2), st.floats(-2, 2), st.floats(0.01, 2))
def test_the_expected_improvement_is_that_of_a_sample(level: float, mean: float, deviation: float) -> None:
    sample = mean + deviation * np.random.default_rng(0).normal(size=40_000)
    expected = np.maximum(sample - level, 0).mean()
    assert float(expected_improvement(level, np.array(mean), np.array(deviation))) == pytest.approx(
        expected, abs=0.02 * deviation + 1e-6
    )


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.integers(2, 40))
def test_a_window_has_the_best_and_the_newest(values: list[int], most: int) -> None:
    merits = np.array(values, dtype=float)
    chosen = window(merits, most)
    assert len(chosen) == min(most, len(merits))
    assert list(chosen) == sorted(set(chosen))
    half = len(chosen) // 2
    assert set(range(len(merits) - half, len(merits))) <= set(chosen)
    assert sorted(merits[chosen], reverse=True)[:half] == sorted(merits, reverse=True)[:half]


def test_what_a_process_is_conditioned_on_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surrogate, "CONDITIONED_ON", 20)
    drawn = np.random.default_rng(0)
    features, metrics = drawn.normal(size=(300, 3)), drawn.normal(size=300)
    for count in (20, 21, 300):
        fitted = surrogate.fit(features[:count], metrics[:count])
        assert {len(process.features) for process in fitted.processes} == {20}
