"""Operations that are not `keras.ops` alone: for speed on TensorFlow, for NaN, or because backends differ.

Signs, thresholds, ranges and powers of two, so that a quantizer reads as its formula. Signs and thresholds of NaN are
NaN. The figures are from `docs/benchmarks.md`.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

#: A tensor of whichever backend runs.
Tensor = Any

#: Of float32: one in the bits of its exponent, those bits (and its sign), and what is missing from the first fraction
#: above sqrt(2) to 2.
_ONE_EXPONENT = 0x800000
_ALL_BUT_FRACTION = -_ONE_EXPONENT
_CARRY_FROM_ROOT_2 = _ONE_EXPONENT - 0x3504F4


def sign(x: Tensor) -> Tensor:
    """-1 below zero, +1 from zero on. Choosing between two numbers takes up to half as long again, and loses NaN."""
    return ops.sign(ops.sign(x) + 0.5)


def threshold(x: Tensor, bound: float) -> Tensor:
    """1 where x >= bound, 0 below; bounds are above 1e-30, where no difference of float32 vanishes."""
    return ops.maximum(ops.sign(x - _below(bound)), 0.0)


def ternary_sign(x: Tensor, bound: float) -> Tensor:
    """1 where x >= bound, -1 where x <= -bound, 0 between; bounds are above 1e-30."""
    return threshold(x, bound) + ops.minimum(ops.sign(x + _below(bound)), 0.0)


def _below(bound: float) -> float:
    """The float32 below the float32 next to a bound."""
    return float(np.nextafter(np.float32(bound), np.float32(-math.inf)))


def keep_within(values: Tensor, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The values where low < x <= high, 0 elsewhere, even for infinite values and NaN; x has their shape."""
    inside = ops.logical_and(x > low, x <= high)
    if keras.backend.backend() == "tensorflow":  # where choosing takes a third longer than this product
        import tensorflow as tf

        return tf.math.multiply_no_nan(values, tf.cast(inside, values.dtype))
    return ops.where(inside, values, ops.zeros_like(values))


def round_to_power_of_two(x: Tensor, low: int) -> Tensor:
    """2^(e - low) with the whole e next to log2 of positive, normal float32 x; 2^(e + 1/2) is the border.

    Read from its bits: what is added carries from the first fraction above that of the square root of 2 on. Seven times
    as fast as a logarithm.
    """
    carried = _view(x, "int32") + (_CARRY_FROM_ROOT_2 - low * _ONE_EXPONENT)
    return _view(ops.bitwise_and(carried, _ALL_BUT_FRACTION), "float32")


def _view(x: Tensor, dtype: str) -> Tensor:
    """The bits of x as numbers of another type of the same width."""
    if keras.backend.backend() == "tensorflow":  # Keras' own needs sizes that a traced graph leaves open
        import tensorflow as tf

        return tf.bitcast(x, dtype)
    return ops.view(x, dtype)


def is_concrete(x: Tensor) -> bool:
    """Whether the numbers of a tensor can be read now: not while a function is traced."""
    if keras.backend.backend() == "tensorflow":
        return hasattr(x, "numpy")
    import jax

    return not isinstance(x, jax.core.Tracer)
