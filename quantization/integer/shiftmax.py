"""Shiftmax: a softmax of powers of two, whose division is a shift; in floats and, bit for bit, in integers.

Outputs are powers of two and sum to a value in [0.71, 1.42], not to one. `shiftmax` runs on every Keras backend and
trains; `IntegerShiftmax` is what integer hardware computes. Definitions: quantizeml 0.17.1 (BrainChip).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from quantization.integer.fixed_point import (
    MAX_VALUE_BITS,
    FixedPoint,
    FixedPointError,
    Shifted,
    round_log2,
    whole_number,
)
from quantization.quantizers.backend import is_concrete
from quantization.quantizers.rounding import floor_through, straight_through


def shiftmax(x: Any, axis: int | Sequence[int] = -1) -> Any:
    """2^(floor(x) - max) / 2^round(log2(sum of those)), over one axis or several; any shape, same shape.

    Rounding passes the gradient. Raises `ValueError` for an axis the input does not have or one without elements.
    """
    logits = ops.convert_to_tensor(x)
    axes = _axes(axis, tuple(logits.shape))
    whole = floor_through(logits)
    powers = pow2(whole - ops.max(whole, axis=axes, keepdims=True))
    total = ops.sum(powers, axis=axes, keepdims=True)
    return powers / pow2(round_log2_through(total))


def pow2(x: Any) -> Any:
    """2^x, exact for whole x (JAX' `exp2` is not); of floats below the normal numbers 0.

    Whole numbers give whole numbers: `FixedPointError` for a negative one.
    """
    x = ops.convert_to_tensor(x)
    whole = not keras.backend.is_float_dtype(keras.backend.standardize_dtype(x.dtype))
    if whole and is_concrete(x) and np.any(ops.convert_to_numpy(x) < 0):
        raise FixedPointError("2 to a negative power is no whole number: pass floats")
    return ops.power(ops.cast(2.0, x.dtype), x)


def round_log2_through(x: Any) -> Any:
    """round(log2 x) of positive x, exact whatever the backend's logarithm; the gradient is that of log2 x."""
    smooth = ops.log(x) / math.log(2.0)
    near = ops.round(smooth)
    rest = x / pow2(near)
    above, below = rest * rest > 2.0, rest * rest < 0.5
    return straight_through(near + ops.cast(above, x.dtype) - ops.cast(below, x.dtype), smooth)


@dataclass(frozen=True)
class IntegerShiftmax:
    """Shiftmax of fixed-point tensors, in integers only.

    `exp_bitwidth`: how many powers of two below the largest still count, and the output's fractional bits.
    `buffer_bitwidth`: width of the sum, sign included. Raises `FixedPointError` unless
    1 <= exp_bitwidth < (buffer_bitwidth - 1) / 2. `compat` rounds the sum's logarithm as quantizeml, in float32.
    """

    exp_bitwidth: int = 10
    buffer_bitwidth: int = 32
    compat: bool = False

    def __post_init__(self) -> None:
        for name in ("exp_bitwidth", "buffer_bitwidth"):
            whole_number(getattr(self, name), name)
        if self.buffer_bitwidth > MAX_VALUE_BITS + 1:
            raise FixedPointError(
                f"buffer_bitwidth={self.buffer_bitwidth}: at most {MAX_VALUE_BITS + 1}, sign included"
            )
        if not 0 < 2 * self.exp_bitwidth < self.buffer_value_bits:
            raise FixedPointError(
                f"exp_bitwidth={self.exp_bitwidth} must be positive and less than half of the "
                f"{self.buffer_value_bits} bits a buffer of {self.buffer_bitwidth} has without the sign"
            )

    @property
    def buffer_value_bits(self) -> int:
        """Width of the sum without its sign."""
        return self.buffer_bitwidth - 1

    def __call__(self, x: FixedPoint, axis: int = -1) -> Shifted:
        """Powers of two with `exp_bitwidth` fractional bits, and the right shift that floored the input.

        Raises `TypeError` for anything but a `FixedPoint`, `ValueError` for a bad axis.
        """
        if not isinstance(x, FixedPoint):
            raise TypeError(f"shiftmax in integers takes a FixedPoint, not a {type(x).__name__}")
        (along,) = _axes(axis, x.shape)
        bits = self.exp_bitwidth
        floored, input_shift = x.floor()
        depth = floored.values.max(axis=along, keepdims=True) - floored.values
        powers = np.where(depth <= 2 * bits, np.int64(1) << np.maximum(2 * bits - depth, 0), 0)
        total = FixedPoint(powers, self.buffer_value_bits, bits).sum(axis=along, keepdims=True)
        shift = round_log2(total.values, compat=self.compat).astype(np.int64) - bits
        return Shifted(FixedPoint(powers >> shift, bits + 1, bits), input_shift)


def _axes(axis: int | Sequence[int], shape: tuple[int | None, ...]) -> tuple[int, ...]:
    """The axes counted from the front; each must exist and have elements."""
    indexes = (axis,) if isinstance(axis, int) else tuple(axis)
    rank = len(shape)
    for index in indexes:
        if not -rank <= index < rank:
            raise ValueError(f"axis {index} does not exist: the input has {rank} axes")
        if shape[index] == 0:
            raise ValueError(f"axis {index} has no elements")
    return tuple(index % rank for index in indexes)
