"""Quantizers that are steps: each level from a threshold on. Found by asking the quantizer itself, then integers only.

For powers of two, levels by a threshold, and functions that no integer formula has: whatever the quantizer computes
in float32, the integer network computes for every number that float32 holds, bit for bit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from quantization.integer.tensor import IntegerOverflow, Integers, IntegerTensor, dyadic
from quantization.quantizers import build_quantizer

Floats32 = npt.NDArray[np.float32]

#: Levels that are looked for; more are refused.
MOST_LEVELS: Final = 4096
#: The largest finite float32, as the integer of its bits.
_LAST: Final = 0x7F7FFFFF
_BOUND: Final = np.iinfo(np.int64)
_VECTOR: Final = 64  #: numbers that every backend computes in whole vectors
_SAMPLE: Final = 2048  #: numbers at which the steps are compared with the quantizer


class NotSteps(ValueError):
    """A quantizer has too many levels, levels too far apart for integers, or is not monotone."""


class Steps:
    """A monotone quantizer as thresholds and levels (`levels_of`). Raises `NotSteps`."""

    def __init__(self, thresholds: Floats32, values: Floats32) -> None:
        self.thresholds = thresholds
        try:
            levels = dyadic(np.ones((len(values), 1), np.int64), values[:, None])
        except IntegerOverflow as error:
            raise NotSteps(f"its levels are too far apart: {error}") from None
        self._codes = levels.codes[:, 0]
        self._exponent = levels.exponent.reshape(())
        self._bounds: dict[int, Integers] = {}

    def __call__(self, x: IntegerTensor) -> IntegerTensor:
        """The level of every value."""
        exponents = np.broadcast_to(x.exponent, x.codes.shape)
        index = np.zeros(x.codes.shape, np.int64)
        for exponent in np.unique(x.exponent):
            places = np.searchsorted(self._bounds_at(int(exponent)), x.codes, side="right")
            index = np.where(exponents == exponent, places, index)
        return IntegerTensor(self._codes[index], self._exponent)

    def of_floats(self, x: npt.ArrayLike) -> IntegerTensor:
        """The level of every float32 number."""
        index = np.searchsorted(self.thresholds, np.asarray(x, np.float32), side="right")
        return IntegerTensor(self._codes[index], self._exponent)

    def _bounds_at(self, exponent: int) -> Integers:
        """The least codes on a grid that reach each threshold."""
        if exponent not in self._bounds:
            codes = [_least_code(float(threshold), exponent) for threshold in self.thresholds]
            self._bounds[exponent] = np.asarray(codes, np.int64)
        return self._bounds[exponent]


@functools.lru_cache(maxsize=256)
def steps_of(spec: Any) -> Steps:
    """The steps of a specification at inference. Raises `NotSteps`."""
    return Steps(*levels_of(spec))


@functools.lru_cache(maxsize=256)
def levels_of(spec: Any) -> tuple[Floats32, Floats32]:
    """Thresholds and levels of a specification at inference: `levels[i + 1]` from `thresholds[i]` on, float32.

    Raises `NotSteps` where it has more than `MOST_LEVELS`, or is not monotone.
    """
    return _steps(_quantization(spec, lambda x: x))


def steps_behind(function: Callable[[Floats32], Floats32], spec: Any) -> Steps:
    """The steps that a function of every number and the quantizer behind it make together. Raises `NotSteps`."""
    return Steps(*_steps(_quantization(spec, function)))


def _quantization(spec: Any, function: Callable[[Floats32], Floats32]) -> Callable[[Floats32], Floats32]:
    """What a specification makes of the values of a function, at inference."""
    quantizer = build_quantizer(spec)

    def quantize(x: Floats32) -> Floats32:
        # Backends compute the rest of a tensor beyond whole vectors another way, off by an ulp: there is none.
        padded = np.pad(x, (0, -len(x) % _VECTOR))
        codes, scale = quantizer.to_integers(function(padded))
        return np.asarray(codes.astype(np.float32) * scale, np.float32)[: len(x)]

    return quantize


def _least_code(threshold: float, exponent: int) -> int:
    """ceil(threshold / 2**exponent), within int64."""
    numerator, denominator = threshold.as_integer_ratio()
    if exponent >= 0:
        denominator <<= exponent
    else:
        numerator <<= -exponent
    return min(max(-(-numerator // denominator), int(_BOUND.min)), int(_BOUND.max))


def _steps(quantize: Callable[[Floats32], Floats32]) -> tuple[Floats32, Floats32]:
    """Thresholds (the first number of each level but the lowest) and levels, by bisection over all of float32."""
    low, high = np.array([-_LAST]), np.array([_LAST])
    first, last = quantize(_float(low)), quantize(_float(high))
    lowest, highest = first, last
    found: list[Integers] = []
    while low.size:
        if low.size > MOST_LEVELS:
            raise NotSteps(f"it has more than {MOST_LEVELS} levels")
        middle = low + (high - low) // 2
        value = quantize(_float(middle))
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        first, last = np.concatenate([first, value]), np.concatenate([value, last])
        ends = (first != last) & (high - low == 1)
        found.append(high[ends])
        rest = (first != last) & (high - low > 1)
        low, high, first, last = low[rest], high[rest], first[rest], last[rest]
    keys = np.unique(np.concatenate(found)) if found else np.zeros(0, np.int64)
    thresholds = _float(keys)
    values = np.concatenate([lowest, quantize(thresholds)]) if keys.size else lowest
    _check_monotone(quantize, thresholds, values, highest)
    return thresholds, values


def _check_monotone(
    quantize: Callable[[Floats32], Floats32], thresholds: Floats32, values: Floats32, highest: Floats32
) -> None:
    spread = _float(np.linspace(-_LAST, _LAST, _SAMPLE).astype(np.int64))
    sample = np.concatenate([spread, np.linspace(-8, 8, _SAMPLE, dtype=np.float32)])
    expected = values[np.searchsorted(thresholds, sample, side="right")]
    if np.any(np.diff(values) <= 0) or values[-1] != highest[0] or np.any(quantize(sample) != expected):
        raise NotSteps("a larger number can have a smaller level")


def _float(keys: Integers) -> Floats32:
    """Ordered integers as the float32 numbers in the same order; 0 is 0."""
    magnitudes = np.abs(keys).astype(np.int32).view(np.float32)
    return np.asarray(np.where(keys < 0, -magnitudes, magnitudes), np.float32)
