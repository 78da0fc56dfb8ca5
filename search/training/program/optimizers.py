"""Optimizers as functions of one flat vector: a step is a handful of operations, however many weights there are.

Formulas and default constants are those of Keras' optimizers of the same names, in the same order of operations, so
that all numbers are equal bit by bit. Why not Keras' own: `docs/decisions/0011-optimizers-and-metrics-as-functions.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from keras import ops

Tensor = Any

_BETA_1: Final = 0.9
_BETA_2: Final = 0.999
_RHO: Final = 0.9
_EPSILON: Final = 1e-7
_WEIGHT_DECAY: Final = 0.004  #: of AdamW, where a job states none
_NADAM_DECAY: Final = 0.96


class Updated(NamedTuple):
    """What a step gives."""

    weights: Tensor
    moments: tuple[Tensor, ...]
    scalar: Tensor


@dataclass(frozen=True)
class FlatOptimizer:
    """How an optimizer changes weights.

    `step(weights, gradient, moments, scalar, count, rate)`: `count` is the number of steps before this one. `moments`
    names the attributes in which Keras' optimizer holds one variable per weight, `scalar` the attribute that holds a
    single number. `weight_decay`: by default, before each step (`search.training.program.updates`).
    """

    step: Callable[..., Updated]
    moments: tuple[str, ...] = ()
    scalar: str | None = None
    weight_decay: float = 0.0


def _sgd(
    weights: Tensor, gradient: Tensor, moments: Any, scalar: Tensor, count: Tensor, rate: Tensor
) -> Updated:
    return Updated(weights - gradient * rate, moments, scalar)


def _averages(gradient: Tensor, moments: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    mean, square = moments
    mean = mean + (gradient - mean) * (1 - _BETA_1)
    return mean, square + (ops.square(gradient) - square) * (1 - _BETA_2)


def _adam(
    weights: Tensor, gradient: Tensor, moments: Any, scalar: Tensor, count: Tensor, rate: Tensor
) -> Updated:
    local = ops.cast(count + 1, "float32")
    power_1, power_2 = (ops.power(ops.cast(beta, "float32"), local) for beta in (_BETA_1, _BETA_2))
    alpha = rate * ops.sqrt(1 - power_2) / (1 - power_1)
    mean, square = _averages(gradient, moments)
    return Updated(weights - (mean * alpha) / (ops.sqrt(square) + _EPSILON), (mean, square), scalar)


def _nadam(
    weights: Tensor, gradient: Tensor, moments: Any, scalar: Tensor, count: Tensor, rate: Tensor
) -> Updated:
    local, following = ops.cast(count + 1, "float32"), ops.cast(count + 2, "float32")
    decay = ops.cast(_NADAM_DECAY, "float32")
    product = scalar * _BETA_1 * (1.0 - 0.5 * ops.power(decay, local))
    beta_1, beta_2 = ops.cast(_BETA_1, "float32"), ops.cast(_BETA_2, "float32")
    now = beta_1 * (1.0 - 0.5 * ops.power(decay, local))
    then = beta_1 * (1.0 - 0.5 * ops.power(decay, following))
    mean, square = moments
    mean = mean + (gradient - mean) * (1 - beta_1)
    square = square + (ops.square(gradient) - square) * (1 - beta_2)
    ahead = (then * mean) / (1 - product * then) + ((1 - now) * gradient) / (1 - product)
    divisor = ops.sqrt(square / (1 - ops.power(beta_2, local))) + _EPSILON
    return Updated(weights - (ahead * rate) / divisor, (mean, square), product)


def _rmsprop(
    weights: Tensor, gradient: Tensor, moments: Any, scalar: Tensor, count: Tensor, rate: Tensor
) -> Updated:
    velocity = _RHO * moments[0] + (1 - _RHO) * ops.square(gradient)
    return Updated(weights - (rate * gradient) / ops.sqrt(velocity + _EPSILON), (velocity,), scalar)


_ADAM_MOMENTS: Final = ("_momentums", "_velocities")

OPTIMIZERS: Final[Mapping[str, FlatOptimizer]] = {
    "adam": FlatOptimizer(_adam, _ADAM_MOMENTS),
    "adamw": FlatOptimizer(_adam, _ADAM_MOMENTS, weight_decay=_WEIGHT_DECAY),
    "nadam": FlatOptimizer(_nadam, _ADAM_MOMENTS, scalar="_u_product"),
    "rmsprop": FlatOptimizer(_rmsprop, ("_velocities",)),
    "sgd": FlatOptimizer(_sgd),
}
