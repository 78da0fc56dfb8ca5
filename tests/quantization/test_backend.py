"""Signs, thresholds, ranges and powers of two against their definitions."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from quantization.quantizers.backend import (
    keep_within,
    round_to_power_of_two,
    sign,
    ternary_sign,
    threshold,
)

#: What a threshold is compared with: itself, its neighbours, and anything else.
_ANY = st.floats(width=32, allow_nan=False, allow_subnormal=False)
_BOUNDS = st.floats(2.0**-30, 2.0**30, width=32)


def _numbers(tensor: object) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(tensor))


def _around(bound: float, others: list[float]) -> np.ndarray:
    """The bound, its opposite, the neighbours of both, and others."""
    ends = np.array([bound, -bound], np.float32)
    beside = [np.nextafter(ends, np.float32(way)) for way in (-math.inf, math.inf)]
    return np.concatenate([ends, *beside, np.array([0.0, -0.0, math.inf, -math.inf, *others], np.float32)])


@given(_BOUNDS, st.lists(_ANY, max_size=8))
def test_a_threshold_is_reached_from_the_bound_on(bound: float, others: list[float]) -> None:
    x = _around(bound, others)
    np.testing.assert_array_equal(_numbers(threshold(x, bound)), (x >= np.float32(bound)).astype(np.float32))


@given(_BOUNDS, st.lists(_ANY, max_size=8))
def test_signs_count_from_the_bound_on(bound: float, others: list[float]) -> None:
    x = _around(bound, others)
    expected = (x >= np.float32(bound)).astype(np.float32) - (x <= -np.float32(bound))
    np.testing.assert_array_equal(_numbers(ternary_sign(x, bound)), expected)


@given(st.lists(_ANY, max_size=8))
def test_the_sign_of_zero_is_one(others: list[float]) -> None:
    x = _around(1.0, others)
    np.testing.assert_array_equal(_numbers(sign(x)), np.where(x < 0, -1.0, 1.0))


def test_signs_of_nan_are_nan() -> None:
    x = np.full(3, math.nan, np.float32)
    for signs in (threshold(x, 0.5), ternary_sign(x, 0.5), sign(x)):
        assert np.isnan(_numbers(signs)).all()


@given(
    st.floats(-(2.0**30), 2.0**30, width=32, allow_subnormal=False),
    st.sampled_from([0.0, 0.5, 3.0, math.inf]),
    st.lists(_ANY, max_size=8),
)
def test_values_are_kept_within_the_range_alone(low: float, width: float, others: list[float]) -> None:
    low, high = np.float32(low), np.float32(low + width)
    x = np.concatenate([_around(float(low), others), _around(float(high), [])])
    x = x[np.isfinite(x) & ((x == 0) | (abs(x) >= np.finfo(np.float32).tiny))]
    values = np.resize(np.array([1.5, -2.0, math.inf, -math.inf, math.nan], np.float32), x.shape)
    expected = np.where((x > low) & (x <= high), values, np.float32(0))
    for shape in ((-1,), (1, -1), (1, 1, 1, -1)):
        result = keep_within(
            *map(ops.convert_to_tensor, (values.reshape(shape), x.reshape(shape), low, high))
        )
        np.testing.assert_array_equal(_numbers(result), expected.reshape(shape))


@given(st.integers(-40, 40), st.integers(-60, 60), st.floats(1, 2, width=32, exclude_max=True))
def test_powers_of_two_are_the_nearest_by_their_logarithm(low: int, exponent: int, fraction: float) -> None:
    x = np.float32(fraction) * np.float32(2.0) ** np.float32(exponent)
    above = float(fraction) ** 2 > 2  # no float32 is the square root
    power = _numbers(round_to_power_of_two(ops.convert_to_tensor(x), low))
    assert power == 2.0 ** (exponent + above - low)
