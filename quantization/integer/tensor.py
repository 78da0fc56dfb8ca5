"""Integers with a power-of-two scale, and the exact arithmetic a network needs. numpy only.

A value is `codes * 2**exponent`; the exponent is one number, or one per element of the last axis (channels).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]

_WIDEST: Final = 62
_LARGEST: Final[ContextVar[list[int] | None]] = ContextVar("largest", default=None)


class IntegerOverflow(ArithmeticError):
    """A sum or product does not fit 63 bits and a sign."""


@dataclass(frozen=True, eq=False)
class IntegerTensor:
    """Codes of any shape and their exponent, scalar or per channel (last axis)."""

    codes: Integers
    exponent: Integers

    def to_float(self) -> npt.NDArray[np.float64]:
        """The values, exact where they have at most 53 bits."""
        return np.asarray(np.ldexp(self.codes.astype(np.float64), self.exponent))

    @property
    def bits(self) -> int:
        """Width that holds every code in two's complement (without a sign bit where none is negative)."""
        low, high = (int(self.codes.min()), int(self.codes.max())) if self.codes.size else (0, 0)
        return max(high.bit_length(), (-low - 1).bit_length()) + 1 if low < 0 else high.bit_length()

    def at(self, exponent: npt.ArrayLike) -> IntegerTensor:
        """The same values with a smaller (or equal) exponent."""
        target = np.asarray(exponent, np.int64)
        return IntegerTensor(shift_left(self.codes, self.exponent - target), target)

    def uniform(self) -> IntegerTensor:
        """The same values with one exponent for all channels."""
        return self.at(self.exponent.min()) if self.exponent.ndim else self

    def scaled(self, power: int) -> IntegerTensor:
        """Times a power of two."""
        return IntegerTensor(self.codes, self.exponent + power)

    def with_codes(self, codes: Any) -> IntegerTensor:
        """Other codes on the same grid."""
        return IntegerTensor(np.asarray(codes, np.int64), self.exponent)

    def plus(self, other: IntegerTensor) -> IntegerTensor:
        """Sum, on the finer of the two grids."""
        exponent = np.minimum(self.exponent, other.exponent)
        left, right = self.at(exponent), other.at(exponent)
        guard(peak(left.codes) + peak(right.codes))
        return IntegerTensor(left.codes + right.codes, exponent)

    def times(self, other: IntegerTensor) -> IntegerTensor:
        """Product; shapes broadcast."""
        guard(peak(self.codes) * peak(other.codes))
        return IntegerTensor(self.codes * other.codes, self.exponent + other.exponent)

    def rounded(self, step_exponent: int, low: float, high: float) -> Integers:
        """clip(round(value / 2**step_exponent), low, high), half to even: codes on another grid."""
        distance = self.exponent - step_exponent
        left = np.clip(distance, 0, _WIDEST)
        saturated = (
            np.clip(self.codes, -(np.int64(1) << (_WIDEST - left)), np.int64(1) << (_WIDEST - left)) << left
        )
        codes = np.where(distance >= 0, saturated, half_even(self.codes, np.clip(-distance, 0, _WIDEST)))
        return np.clip(codes, int(low), int(high)).astype(np.int64)


def dyadic(codes: npt.ArrayLike, scale: npt.ArrayLike) -> IntegerTensor:
    """codes * scale as integers with one exponent per last axis; exact: a float is an integer times a power of two.

    Where the scale is a power of two for each channel, the codes stay as they are.
    """
    numbers = np.asarray(codes, np.int64)
    mantissas, exponents = np.frexp(np.broadcast_to(np.asarray(scale, np.float64), numbers.shape))
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    trailing = np.where(whole != 0, np.frexp((whole & -whole).astype(np.float64))[1] - 1, 0)
    exponents = exponents.astype(np.int64) - 53 + trailing
    values = IntegerTensor(numbers, np.zeros((), np.int64)).times(
        IntegerTensor(whole >> trailing, np.zeros((), np.int64))
    )
    used = np.where(values.codes != 0, exponents, np.iinfo(np.int64).max)
    axes = tuple(range(numbers.ndim - 1))
    smallest = used.min(axis=axes) if numbers.ndim else used
    smallest = np.where(smallest == np.iinfo(np.int64).max, 0, smallest)
    shift = np.where(values.codes != 0, exponents - smallest, 0)
    return IntegerTensor(shift_left(values.codes, shift), np.asarray(smallest, np.int64))


def shift_left(codes: Integers, places: npt.ArrayLike) -> Integers:
    """codes * 2**places, places >= 0; shapes broadcast. Raises `IntegerOverflow`."""
    codes, steps = np.broadcast_arrays(codes, np.asarray(places, np.int64))
    moved = steps[codes != 0]
    if moved.size:
        guard(peak(codes) << int(moved.max()) if int(moved.max()) <= 1000 else 1 << _WIDEST + 1)
    return np.where(codes != 0, codes << np.clip(steps, 0, _WIDEST), 0)


def half_even(codes: Integers, places: npt.ArrayLike) -> Integers:
    """codes / 2**places, rounded half to even, 0 <= places <= 62."""
    steps = np.asarray(places, np.int64)
    floor = codes >> steps
    rest = codes - (floor << steps)
    half = np.where(steps > 0, np.int64(1) << np.maximum(steps - 1, 0), np.iinfo(np.int64).max)
    up = (rest > half) | ((rest == half) & (floor & 1 == 1))
    return np.asarray(floor + up)


def peak(codes: Integers) -> int:
    """Largest magnitude."""
    return max(-int(codes.min()), int(codes.max())) if codes.size else 0


@contextlib.contextmanager
def measuring() -> Iterator[list[int]]:
    """Within it, the largest magnitude that any `guard` is given, as the one number of a list."""
    largest = [0]
    token = _LARGEST.set(largest)
    try:
        yield largest
    finally:
        _LARGEST.reset(token)


def guard(largest: int) -> None:
    """Raise `IntegerOverflow` for a magnitude that a 64-bit accumulator cannot hold."""
    measured = _LARGEST.get()
    if measured is not None:
        measured[0] = max(measured[0], largest)
    if largest >= 1 << _WIDEST + 1:
        raise IntegerOverflow(f"{largest.bit_length()} bits are needed; an accumulator has 63 and a sign")
