"""Rounding, and functions whose gradient is that of another one. Backend-neutral: `keras.ops` only."""

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


@ops.custom_gradient
def _with_gradient_of(value: Tensor, surrogate: Tensor) -> Any:
    def gradient(*args: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, Tensor]:
        passed = args[0] if upstream is None else upstream
        return ops.zeros_like(passed), passed

    return value, gradient


def straight_through(value: Tensor, surrogate: Tensor) -> Tensor:
    """`value` exactly, with the gradient of `surrogate`; both of one shape.

    Unlike x + (value - x), which is off by an ulp of x, the result lies on the grid; and it costs nothing.
    """
    return _with_gradient_of(ops.stop_gradient(value), surrogate)


@ops.custom_gradient
def _with_gradient_within(value: Tensor, x: Tensor, low: Tensor, high: Tensor) -> Any:
    def gradient(*args: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, ...]:
        passed = args[0] if upstream is None else upstream
        kept = kept_within(passed, x, low, high)
        return ops.zeros_like(passed), kept, ops.zeros_like(low), ops.zeros_like(high)

    return value, gradient


def kept_within(values: Tensor, x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The values where low < x <= high, 0 elsewhere, be they infinite or no numbers; x and they of one shape.

    Differences of x and a bound that are below the smallest normal float32 may count as none.
    """
    if keras.backend.backend() == "tensorflow":  # where choosing takes three times as long as this product
        import tensorflow as tf

        return tf.math.multiply_no_nan(values, tf.cast(_is_within(x, low, high), values.dtype))
    return ops.where(ops.logical_and(x > low, x <= high), values, ops.zeros_like(values))


def _is_within(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Whether low < x <= high, in TensorFlow: True or 1.

    Comparisons use no vector instructions, but their answers take a quarter of the memory. Of images, which do not fit
    into a processor's cache, they take half as long as differences; of vectors a quarter longer.
    """
    if len(x.shape) > 2:
        return ops.logical_and(x > low, x <= high)
    import tensorflow as tf

    ones = tf.ones_like(x)
    above_low = tf.raw_ops.ReluGrad(gradients=ones, features=x - low)
    return above_low - tf.raw_ops.ReluGrad(gradients=ones, features=x - high)


def straight_within(value: Tensor, x: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """`value` exactly, with gradient 1 where low < x <= high and 0 elsewhere."""
    bounds = (ops.convert_to_tensor(bound, x.dtype) for bound in (low, high))
    return _with_gradient_within(ops.stop_gradient(value), x, *bounds)


def round_through(x: Tensor) -> Tensor:
    """x rounded half to even; the gradient is 1."""
    return straight_through(ops.round(x), x)


def ceil_through(x: Tensor) -> Tensor:
    """x rounded up; the gradient is 1."""
    return straight_through(ops.ceil(x), x)


def floor_through(x: Tensor) -> Tensor:
    """x rounded down; the gradient is 1."""
    return straight_through(ops.floor(x), x)


def sign_or_one(x: Tensor) -> Tensor:
    """-1 below zero, +1 from zero on."""
    # Comparing takes longer, and so does what makes numbers of its answers.
    return ops.sign(ops.sign(x) + 0.5)


def at_least(x: Tensor, bound: float) -> Tensor:
    """1 where x >= bound, 0 below; bounds are above 1e-30, where no difference of float32 vanishes."""
    return ops.maximum(ops.sign(x - _below(bound)), 0.0)


def sign_from(x: Tensor, bound: float) -> Tensor:
    """1 where x >= bound, -1 where x <= -bound, 0 between; bounds are above 1e-30."""
    return at_least(x, bound) + ops.minimum(ops.sign(x + _below(bound)), 0.0)


def _below(bound: float) -> float:
    """The float32 below the float32 next to a bound."""
    return float(np.nextafter(np.float32(bound), np.float32(-math.inf)))


def round_half_away(x: Tensor) -> Tensor:
    """x rounded half away from zero."""
    return ops.sign(x) * ops.floor(ops.abs(x) + 0.5)


def stochastic_round(x: Tensor, seed: keras.random.SeedGenerator, step: float = 1.0) -> Tensor:
    """x on the grid of `step`, up or down with probability of the distance, so that the mean is x."""
    noise = keras.random.uniform(ops.shape(x), dtype=x.dtype, seed=seed)
    return ops.floor(x / step + noise) * step


def log2(x: Tensor) -> Tensor:
    """Base-2 logarithm by the natural one, as the reference computes it."""
    return ops.log(x) / 0.6931471805599453


def exact_log2(x: Tensor) -> Tensor:
    """Base-2 logarithm, exact for powers of two: float32 logarithms are off by an ulp there."""
    found = log2(x)
    nearest = ops.round(found)
    return ops.where(ops.equal(power_of_two(nearest), x), nearest, found)


def power_of_two(exponent: Tensor) -> Tensor:
    """2 to whole exponents, exactly on every backend: JAX' exp2 is off by an ulp."""
    return ops.power(ops.cast(2.0, exponent.dtype), exponent)


def power_by_bits(x: Tensor, low: int) -> Tensor:
    """2^(e - low) with the whole e next to log2 of positive, normal float32 x, by its bits: 2^(e + 1/2) is the border.

    What is added carries from the first fraction above that of the square root of 2 on. Ten times as fast as a
    logarithm.
    """
    carried = _same_bits(x, "int32") + (_CARRY_FROM_ROOT_2 - low * _ONE_EXPONENT)
    return _same_bits(ops.bitwise_and(carried, _ALL_BUT_FRACTION), "float32")


def _same_bits(x: Tensor, dtype: str) -> Tensor:
    """x taken for numbers of another type of the same width."""
    if (
        keras.backend.backend() == "tensorflow"
    ):  # where Keras' own looks at sizes that a traced graph leaves open
        import tensorflow as tf

        return tf.bitcast(x, dtype)
    return ops.view(x, dtype)


def nearest_power_of_two(x: Tensor, low: int | None = None, high: int | None = None) -> Tensor:
    """2 to the rounded logarithm of positive x, the exponent held within [low, high]."""
    exponent = ops.round(log2(x + keras.config.epsilon()))
    if low is not None:
        exponent = ops.maximum(exponent, low)
    if high is not None:
        exponent = ops.minimum(exponent, high)
    return power_of_two(exponent)


def hard_sigmoid(x: Tensor) -> Tensor:
    """x/2 + 1/2 held within [0, 1]; the gradient is 1/2 there, the ends counted."""
    linear = 0.5 * x + 0.5
    return ops.where(linear > 1.0, 1.0, ops.where(linear < 0.0, 0.0, linear))


def leaky_relu(x: Tensor, slope: float) -> Tensor:
    """x above zero, slope * x below; the gradient at 0 is the slope on every backend."""
    return ops.where(x > 0, x, slope * x)
