"""Quantizing a trained model without training it further."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from quantization.models.calibration import (
    METHODS,
    calibrate,
    integer_bits,
    noise_report,
    post_training,
    round_weights,
    sensitivity,
    sqnr_db,
)
from quantization.quantizers import build_quantizer
from quantization.specs.parse import as_spec


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data = load_digits()
    return (data.images[..., None] / 16).astype(np.float32), data.target


@pytest.fixture(scope="module")
def trained(digits: tuple[np.ndarray, np.ndarray]) -> keras.Model:
    keras.utils.set_random_seed(3)
    x, y = digits
    inputs = keras.Input((8, 8, 1))
    z = keras.layers.Conv2D(8, 3, strides=2, name="conv")(inputs)
    z = keras.layers.Activation("relu", name="act")(z)
    z = keras.layers.Flatten(name="flat")(z)
    z = keras.layers.Dense(10, name="head")(z)
    model = keras.Model(inputs, z)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    model.fit(x[:1200], y[:1200], epochs=6, batch_size=64, verbose=0)
    return model


def _error(values: np.ndarray, bits: int, integer: int) -> float:
    spec = as_spec({"kind": "quantized_bits", "bits": bits, "integer": integer})
    codes, scale = build_quantizer(spec).to_integers(values)
    return float(np.mean((codes * np.float64(scale) - values) ** 2))


@given(st.lists(st.floats(-50, 50, width=32), min_size=1, max_size=40), st.integers(3, 8))
@settings(max_examples=60, deadline=None)
def test_minmax_holds_every_value_within_half_a_step(values: list[float], bits: int) -> None:
    array = np.array(values, dtype=np.float32)
    integer = integer_bits(array, bits, signed=True)
    step = 2.0 ** (integer - bits + 1)
    spec = as_spec({"kind": "quantized_bits", "bits": bits, "integer": integer})
    codes, scale = build_quantizer(spec).to_integers(array)
    assert np.all(np.abs(codes * np.float64(scale) - array) <= step / 2 + 1e-6)


@pytest.mark.parametrize("method", ["minmax", "mse", "kl"])
def test_values_too_small_for_any_grid_get_the_finest_one(method: Any) -> None:
    assert integer_bits(np.array([1e-38]), 3, signed=True, method=method) == -64


def test_values_no_grid_holds_are_refused() -> None:
    with pytest.raises(ValueError, match="no quantizer holds more than"):
        integer_bits(np.array([1e30]), 8, signed=True)


def test_minmax_takes_no_more_integer_bits_than_needed() -> None:
    assert [integer_bits(np.array([top]), 8, signed=False) for top in (0.9, 1.5, 3.9, 4.1)] == [0, 1, 2, 3]


def test_percentile_lets_outliers_be_clipped() -> None:
    values = np.append(np.linspace(-1, 1, 10_000), 60.0)
    assert integer_bits(values, 6, signed=True, method="percentile") < integer_bits(values, 6, signed=True)


@pytest.mark.parametrize("bits", [3, 4, 6])
def test_mse_picks_the_binary_point_of_the_least_error(bits: int) -> None:
    values = np.random.default_rng(bits).laplace(0, 0.4, 5_000)
    picked = _error(values, bits, integer_bits(values, bits, signed=True, method="mse"))
    assert all(picked <= _error(values, bits, integer) + 1e-12 for integer in range(-4, 5))


def test_kl_clips_a_long_tail_where_bits_are_few() -> None:
    values = np.append(np.random.default_rng(0).normal(0, 0.1, 20_000), [3.9, -3.9])
    assert integer_bits(values, 4, signed=True, method="kl") < integer_bits(values, 4, signed=True)


def test_an_unknown_method_is_an_error() -> None:
    with pytest.raises(ValueError, match="method must be one of minmax"):
        integer_bits(np.ones(3), 8, signed=True, method="best")  # type: ignore[arg-type]


def test_values_that_are_not_finite_are_an_error() -> None:
    with pytest.raises(ValueError, match="finite"):
        integer_bits(np.array([1.0, math.nan]), 8, signed=True)


@pytest.mark.parametrize("method", METHODS)
def test_eight_bits_without_training_keep_the_accuracy(
    trained: keras.Model, digits: Any, method: Any
) -> None:
    x, _ = digits
    quantized = post_training(trained, calibrate(trained, x[:200], method=method), x[:200])
    agreed = np.mean(_classes(quantized, x[1200:]) == _classes(trained, x[1200:]))
    assert agreed > 0.97


def test_bias_correction_lessens_the_shift_of_the_outputs(trained: keras.Model, digits: Any) -> None:
    x = digits[0][:300]
    assignment = calibrate(trained, x, weight_bits=3, activation_bits=8, method="minmax")
    exact = np.asarray(trained(x))
    shifts = [
        np.abs(
            (np.asarray(post_training(trained, assignment, x, correct_bias=how)(x)) - exact).mean(0)
        ).mean()
        for how in (False, True)
    ]
    assert shifts[1] < 0.5 * shifts[0]


def test_the_report_names_every_quantized_layer_and_more_bits_less_noise(
    trained: keras.Model, digits: Any
) -> None:
    x = digits[0][:200]
    reports = []
    for bits in (3, 8):
        assignment = calibrate(trained, x, weight_bits=bits, activation_bits=bits)
        reports.append(noise_report(trained, post_training(trained, assignment, x, correct_bias=False), x))
    assert [row.layer for row in reports[0]] == ["conv", "act", "head"]
    assert all(few.output_db < many.output_db for few, many in zip(*reports, strict=True))
    assert reports[0][0].weights_db.keys() == {"kernel", "bias"}


def test_the_layer_with_fewest_bits_is_the_most_sensitive(trained: keras.Model, digits: Any) -> None:
    x = digits[0][:200]
    coarse = calibrate(trained, x, weight_bits=2, layers=["head"])
    fine = calibrate(trained, x, weight_bits=8, layers=["conv"])
    ratios = sensitivity(trained, coarse | fine, x)
    assert ratios["head"] < ratios["conv"]


def test_rounded_weights_are_what_the_model_computed_with_already(trained: keras.Model, digits: Any) -> None:
    x = digits[0][:50]
    model = post_training(trained, calibrate(trained, x, weight_bits=4), x)
    before = np.asarray(model(x))
    round_weights(model)
    np.testing.assert_array_equal(before, np.asarray(model(x)))
    codes, scale = model.get_layer("conv").quantized_weights()["kernel"]
    np.testing.assert_array_equal(np.asarray(model.get_layer("conv").kernel), codes * scale)


def test_no_error_has_an_infinite_ratio() -> None:
    assert sqnr_db(np.ones(3), np.ones(3)) == math.inf


def _classes(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model(x, training=False))).argmax(-1)
