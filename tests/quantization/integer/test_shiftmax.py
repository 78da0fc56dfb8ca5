"""Shiftmax in floats and in integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from quantization.integer.fixed_point import FixedPoint
from quantization.integer.shiftmax import IntegerShiftmax, shiftmax

_LOGITS = st.lists(st.integers(-100, 100), min_size=1, max_size=12)


def _shiftmax(x: object, axis: int | tuple[int, ...] = -1) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(shiftmax(np.asarray(x, np.float32), axis)))


@settings(deadline=None)
@given(_LOGITS)
def test_outputs_sum_to_between_the_square_roots_of_a_half_and_of_two(logits: list[int]) -> None:
    assert 0.707 < _shiftmax(logits).sum() < 1.4143


@settings(deadline=None)
@given(_LOGITS)
def test_outputs_are_powers_of_two(logits: list[int]) -> None:
    shares = _shiftmax(logits)
    mantissas = np.frexp(shares[shares > 0])[0]
    assert (mantissas == 0.5).all()


@settings(deadline=None)
@given(_LOGITS, st.integers(-20, 20))
def test_adding_a_whole_number_to_all_changes_nothing(logits: list[int], offset: int) -> None:
    np.testing.assert_array_equal(_shiftmax(logits), _shiftmax(np.array(logits) + offset))


@settings(deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=1, max_size=12))
def test_integers_equal_the_floats_down_to_the_last_bit_kept(logits: list[int]) -> None:
    shares = IntegerShiftmax(exp_bitwidth=14)(FixedPoint(logits, 7)).tensor
    floats = _shiftmax(logits)
    counted = np.subtract(max(logits), logits) <= 28
    np.testing.assert_array_equal(shares.to_float()[counted], np.floor(floats * 2**14)[counted] / 2**14)


def test_the_shift_that_floored_the_input_is_recorded() -> None:
    assert IntegerShiftmax()(FixedPoint([40, 3], 7, 4)).shift == 4


def test_every_axis_gives_the_same_as_the_transposed_tensor() -> None:
    x = np.random.default_rng(0).normal(0, 4, (3, 5)).astype(np.float32)
    np.testing.assert_array_equal(_shiftmax(x, 0), _shiftmax(x.T).T)


@pytest.mark.parametrize("axis", [2, -3, (0, 5)])
def test_an_axis_the_input_lacks_is_an_error(axis: int | tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="does not exist"):
        _shiftmax(np.ones((2, 3)), axis)


@pytest.mark.parametrize(
    "run", [lambda: _shiftmax(np.ones((2, 0))), lambda: IntegerShiftmax()(FixedPoint([], 7))]
)
def test_an_axis_without_elements_is_an_error(run: object) -> None:
    assert callable(run)
    with pytest.raises(ValueError, match="no elements"):
        run()


@pytest.mark.parametrize(("exp_bitwidth", "buffer_bitwidth"), [(0, 32), (16, 32), (10, 16), (3, 40)])
def test_powers_that_could_overflow_the_buffer_are_refused(exp_bitwidth: int, buffer_bitwidth: int) -> None:
    with pytest.raises(ValueError, match="bitwidth"):
        IntegerShiftmax(exp_bitwidth, buffer_bitwidth)
