"""Rounding, and functions whose gradient is that of another one."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from quantization.quantizers.backend import Tensor, keep_within


@ops.custom_gradient
def _with_gradient_of(value: Tensor, surrogate: Tensor) -> Any:
    def gradient(*args: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, Tensor]:
        passed = args[0] if upstream is None else upstream
        return ops.zeros_like(passed), passed

    return value, gradient


def straight_through(value: Tensor, surrogate: Tensor) -> Tensor:
    """`value` exactly, with the gradient of `surrogate`; both of one shape.

    Unlike x + (value - x), which may be off by an ulp of x, the result lies exactly on the grid.
    """
    return _with_gradient_of(ops.stop_gradient(value), surrogate)


@ops.custom_gradient
def _with_gradient_within(value: Tensor, x: Tensor, low: Tensor, high: Tensor) -> Any:
    def gradient(*args: Tensor, upstream: Tensor | None = None) -> tuple[Tensor, ...]:
        passed = args[0] if upstream is None else upstream
        gradient_of_x = keep_within(passed, x, low, high)
        return ops.zeros_like(passed), gradient_of_x, ops.zeros_like(low), ops.zeros_like(high)

    return value, gradient


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
    logarithm = log2(x)
    nearest = ops.round(logarithm)
    return ops.where(ops.equal(power_of_two(nearest), x), nearest, logarithm)


def power_of_two(exponent: Tensor) -> Tensor:
    """2 to whole exponents, exactly on every backend: JAX' exp2 is off by an ulp."""
    return ops.power(ops.cast(2.0, exponent.dtype), exponent)


def nearest_power_of_two(x: Tensor, low: int | None = None, high: int | None = None) -> Tensor:
    """2 to the rounded logarithm of positive x, the exponent clipped to [low, high]."""
    exponent = ops.round(log2(x + keras.config.epsilon()))
    if low is not None:
        exponent = ops.maximum(exponent, low)
    if high is not None:
        exponent = ops.minimum(exponent, high)
    return power_of_two(exponent)


def hard_sigmoid(x: Tensor) -> Tensor:
    """x/2 + 1/2 clipped to [0, 1]; the gradient is 1/2 within, ends included."""
    linear = 0.5 * x + 0.5
    return ops.where(linear > 1.0, 1.0, ops.where(linear < 0.0, 0.0, linear))


def leaky_relu(x: Tensor, slope: float) -> Tensor:
    """x above zero, slope * x below; the gradient at 0 is the slope on every backend."""
    return ops.where(x > 0, x, slope * x)
