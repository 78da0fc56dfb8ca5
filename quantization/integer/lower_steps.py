"""Activation functions of known inputs as thresholds and levels, found by asking the function itself."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from quantization.integer.activations import Function, NotInIntegers
from quantization.integer.program import ProgramTensor
from quantization.integer.steps import MOST_LEVELS
from quantization.integer.tensor import Integers, IntegerTensor

_SAMPLE: Final = 512  #: codes at which the steps are compared with the function


def thresholds_of(function: Function, x: ProgramTensor, layer: str) -> tuple[Integers, Integers, Integers]:
    """Thresholds (rows: one, or one for each channel), levels, and the exponent of the levels.

    A code's level is that of the number of thresholds it reaches. Raises `NotInIntegers` for a function that has too
    many levels, or a larger level for a smaller code.
    """
    exponents, channels = np.unique(x.exponent, return_inverse=True)
    tables = [_table(function, int(exponent), (x.low, x.high), layer) for exponent in exponents]
    levels = np.unique(np.concatenate([values for _, values, _ in tables]))
    rows = np.stack([_row(thresholds, values, levels, x.high) for thresholds, values, _ in tables])
    return (rows[channels] if x.exponent.ndim else rows), levels, tables[0][2]


def _row(thresholds: Integers, values: Integers, levels: Integers, high: int) -> Integers:
    """The least code that reaches each of the levels but the lowest; one beyond all codes where none does."""
    first = np.searchsorted(values, levels[1:])  # index of the least value that is not below the level
    starts = np.concatenate([[np.iinfo(np.int64).min], thresholds, [high + 1]])
    return np.asarray(starts[np.minimum(first, len(values))], np.int64)


def _table(
    function: Function, exponent: int, bounds: tuple[int, int], layer: str
) -> tuple[Integers, Integers, Integers]:
    """Thresholds, values and the exponent of values, for codes within bounds on one grid; by bisection."""
    grid = np.array(exponent, np.int64)

    def ask(codes: Integers) -> IntegerTensor:
        return function(IntegerTensor(codes, grid))

    low, high = np.array([bounds[0]]), np.array([bounds[1]])
    ends = ask(np.array(bounds))
    first, last = ends.codes[:1], ends.codes[1:]
    places: list[Integers] = []
    while low.size:
        if low.size > MOST_LEVELS:
            raise NotInIntegers(layer, f"its function has more than {MOST_LEVELS} levels")
        middle = low + (high - low) // 2
        value = ask(middle).codes
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
        first, last = np.concatenate([first, value]), np.concatenate([value, last])
        places.append(high[(first != last) & (high - low == 1)])
        rest = (first != last) & (high - low > 1)
        low, high, first, last = low[rest], high[rest], first[rest], last[rest]
    thresholds = np.unique(np.concatenate(places))
    values = ask(np.concatenate([[bounds[0]], thresholds])).codes
    _check(ask, thresholds, values, bounds, layer)
    return thresholds, values, ends.exponent.reshape(())


def _check(ask: Any, thresholds: Integers, values: Integers, bounds: tuple[int, int], layer: str) -> None:
    sample = np.unique(np.linspace(*bounds, _SAMPLE).clip(*bounds).astype(np.int64))
    expected = values[np.searchsorted(thresholds, sample, side="right")]
    if np.any(np.diff(values) <= 0) or np.any(ask(sample).codes != expected):
        raise NotInIntegers(layer, "a larger number can have a smaller level in its function")
