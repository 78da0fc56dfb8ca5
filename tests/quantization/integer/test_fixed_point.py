"""Fixed-point tensors: what their integers stand for, how they round and saturate."""

from __future__ import annotations

import doctest
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantization.integer.fixed_point import (
    FixedPoint,
    FixedPointError,
    ceil_log2,
    floor_log2,
    hardware_round_log2,
    round_log2,
)

_WIDTHS = st.integers(1, 31)
_POINTS = st.integers(-8, 40)
_WHOLE = st.integers(-(2**33), 2**33)


@st.composite
def tensors(draw: st.DrawFn, max_bits: int = 31) -> FixedPoint:
    bits = draw(st.integers(1, max_bits))
    values = draw(st.lists(st.integers(-(2**bits), 2**bits - 1), min_size=1, max_size=4))
    return FixedPoint(values[:1], bits, draw(_POINTS))


def _exact(x: FixedPoint) -> Fraction:
    return Fraction(int(x.values[0])) / Fraction(2) ** int(x.frac_bits)


def _held(value: int, bits: int) -> int:
    return max(-(2**bits), min(2**bits - 1, value))


@settings(deadline=None)
@given(_WHOLE, _WIDTHS)
def test_integers_saturate_at_their_width(value: int, bits: int) -> None:
    assert FixedPoint(value, bits).values == _held(value, bits)


@settings(deadline=None)
@given(st.integers(-(2**40), 2**40), st.integers(-4, 12), _WIDTHS)
def test_quantize_rounds_half_to_even(halves: int, frac_bits: int, bits: int) -> None:
    x = halves / 2 / 2**frac_bits
    quantized = FixedPoint.quantize(x, bits, frac_bits)
    assert quantized.values == _held(round(Fraction(halves, 2)), bits)


@settings(deadline=None)
@given(tensors(), st.integers(0, 40))
def test_rescaling_down_rounds_half_up(x: FixedPoint, fewer: int) -> None:
    target = int(x.frac_bits) - fewer
    rescaled, shift = x.rescale(target)
    assert shift == -fewer
    expected = math.floor(_exact(x) * Fraction(2) ** target + Fraction(1, 2))
    assert rescaled.values[0] == _held(expected, x.value_bits)


@settings(deadline=None)
@given(tensors(), st.integers(-50, 20))
def test_a_shift_rounds_down(x: FixedPoint, places: int) -> None:
    expected = math.floor(int(x.values[0]) * Fraction(2) ** places)
    assert x.shift(places).values[0] == _held(expected, x.value_bits)


@settings(deadline=None)
@given(tensors())
def test_floor_is_the_largest_whole_number_below(x: FixedPoint) -> None:
    floored, shift = x.floor()
    assert shift == x.frac_bits
    assert floored.values[0] == _held(math.floor(_exact(x)), x.value_bits)


@settings(deadline=None)
@given(tensors(12), tensors(12))
def test_a_sum_in_a_wide_buffer_is_exact_where_it_fits(x: FixedPoint, y: FixedPoint) -> None:
    total = x.promote(31) + y
    point = max(int(x.frac_bits), int(y.frac_bits))
    exact = (_exact(x) + _exact(y)) * Fraction(2) ** point
    if abs(int(x.frac_bits) - int(y.frac_bits)) <= 15:
        assert total.values[0] == exact


@settings(deadline=None)
@given(tensors(15), tensors(15))
def test_a_product_in_a_wide_buffer_is_exact(x: FixedPoint, y: FixedPoint) -> None:
    assert _exact(x.promote(31) * y) == _exact(x) * _exact(y)


@settings(deadline=None)
@given(tensors(), tensors().filter(lambda y: y.values[0] != 0))
def test_division_rounds_towards_zero(x: FixedPoint, y: FixedPoint) -> None:
    quotient = x / y
    expected = math.trunc(Fraction(int(x.values[0]), int(y.values[0])))
    assert quotient.values[0] == _held(expected, x.value_bits)
    assert quotient.frac_bits == x.frac_bits - y.frac_bits


@settings(deadline=None)
@given(tensors(), tensors())
def test_comparisons_are_those_of_the_values(x: FixedPoint, y: FixedPoint) -> None:
    assert bool((x < y)[0]) == (_exact(x) < _exact(y))
    assert bool((x == y)[0]) == (_exact(x) == _exact(y))


@settings(deadline=None)
@given(st.integers(1, 2**53))
def test_logarithms_of_integers_are_exact(n: int) -> None:
    assert floor_log2(n) == n.bit_length() - 1
    assert ceil_log2(n) == (n - 1).bit_length()
    assert round_log2(n) == (n * n).bit_length() // 2
    next_bit = n >> n.bit_length() - 2 & 1 if n > 1 else 0
    assert hardware_round_log2(n) == n.bit_length() - 1 + next_bit


def test_each_last_axis_has_its_own_binary_point() -> None:
    x = FixedPoint.quantize([[1.3, 1.3, 1.3]], 7, [0, 1, 4])
    np.testing.assert_array_equal(x.values, [[1, 3, 21]])
    np.testing.assert_array_equal(x.expand(15).tensor.values, [[16, 24, 21]])


def test_a_sum_over_differing_binary_points_aligns_them_first() -> None:
    x = FixedPoint([[1, 2, 16]], 15, [0, 1, 4])
    assert x.sum().to_float() == 3.0


def test_integers_cannot_be_changed_behind_the_tensor() -> None:
    values = np.array([1, 2])
    x = FixedPoint(values, 7)
    values[0] = 5
    assert x.values[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        x.values[0] = 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedPoint(1, 0), "1 to 31"),
        (lambda: FixedPoint(1, 32), "1 to 31"),
        (lambda: FixedPoint(0.5, 7), "whole numbers"),
        (lambda: FixedPoint([1, 2], 7, [1, 2, 3]), "last axis"),
        (lambda: FixedPoint(1, 7, 0.5), "frac_bits must be whole"),
        (lambda: FixedPoint.quantize(float("nan"), 7, 0), "NaN"),
        (lambda: FixedPoint.quantize([0.5, float("inf")], 7), "infinite"),
        (lambda: FixedPoint(1, 7).rescale(7), "overflows 7 bits"),
    ],
)
def test_what_has_no_fixed_point_meaning_is_refused(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(FixedPointError, match=message):
        make()


def test_numpy_numbers_do_not_swallow_a_tensor() -> None:
    with pytest.raises(TypeError):
        np.float32(0.5) * FixedPoint(1, 7)


def test_the_examples_of_the_documentation_hold() -> None:
    page = Path(__file__).parents[3] / "docs" / "fixed-point.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert tried > 3
    assert failed == 0
