"""Fixed-point types that hold numbers exactly: which integers times which power of two a tensor has. numpy only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from quantization.integer.tensor import dyadic

#: Fraction bits of numbers that nothing rounds to few: weights and inputs without a quantizer.
FLOAT_FRACTION: Final = 16


@dataclass(frozen=True)
class Span:
    """Every number of a tensor is a whole one within [low, high] times 2**exponent."""

    low: int
    high: int
    exponent: int

    @property
    def signed(self) -> bool:
        """Whether negative numbers exist."""
        return self.low < 0

    @property
    def bits(self) -> int:
        """Width that holds every number, the sign counted."""
        positive = self.high.bit_length()
        return max(positive, (-self.low - 1).bit_length()) + 1 if self.signed else max(positive, 1)

    def precision(self, mode: str = "") -> str:
        """As hls4ml writes a type; `mode`: rounding and saturation, such as ",RND_CONV,SAT"."""
        return f"{'' if self.signed else 'u'}fixed<{self.bits},{self.bits + self.exponent}{mode}>"

    def at(self, exponent: int) -> Span:
        """The same numbers with a smaller (or equal) exponent."""
        places = self.exponent - exponent
        return Span(self.low << places, self.high << places, exponent)

    def hull(self, other: Span) -> Span:
        """Numbers of either."""
        one, two = _alike(self, other)
        return Span(min(one.low, two.low), max(one.high, two.high), one.exponent)

    def plus(self, other: Span) -> Span:
        """Sums of a number of each."""
        one, two = _alike(self, other)
        return Span(one.low + two.low, one.high + two.high, one.exponent)

    def minus(self, other: Span) -> Span:
        """Differences."""
        return self.plus(Span(-other.high, -other.low, other.exponent))

    def times(self, other: Span) -> Span:
        """Products."""
        corners = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Span(min(corners), max(corners), self.exponent + other.exponent)

    def with_zero(self) -> Span:
        """Zero, too: padding."""
        return Span(min(self.low, 0), max(self.high, 0), self.exponent)

    def positive(self) -> Span:
        """After a ReLU."""
        return Span(max(self.low, 0), max(self.high, 0), self.exponent)


def _alike(one: Span, two: Span) -> tuple[Span, Span]:
    exponent = min(one.exponent, two.exponent)
    return one.at(exponent), two.at(exponent)


@dataclass(frozen=True, eq=False)
class Numbers:
    """A constant tensor of whole numbers times one power of two."""

    codes: npt.NDArray[np.int64]
    exponent: int

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """The numbers themselves."""
        return np.asarray(np.ldexp(self.codes.astype(np.float64), self.exponent))

    @property
    def span(self) -> Span:
        """Of its numbers."""
        return Span(int(self.codes.min(initial=0)), int(self.codes.max(initial=0)), self.exponent)


def numbers(codes: npt.NDArray[np.int64], scale: Any = 1.0) -> Numbers:
    """codes * scale, exact: a float is an integer times a power of two."""
    tensor = dyadic(codes, np.broadcast_to(np.asarray(scale, np.float64), codes.shape)).uniform()
    return Numbers(tensor.codes, int(tensor.exponent))


def rounded(values: Any) -> Numbers:
    """Floats rounded to `FLOAT_FRACTION` bits."""
    codes = np.rint(np.ldexp(np.asarray(values, np.float64), FLOAT_FRACTION)).astype(np.int64)
    return Numbers(codes, -FLOAT_FRACTION)


def exact_or_rounded(values: Any) -> tuple[Numbers, bool]:
    """Floats as numbers, and whether that is exact: all are multiples of 2**-FLOAT_FRACTION."""
    near = rounded(values)
    return near, bool(np.array_equal(near.values, np.asarray(values, np.float64)))


def sums(x: Span, weights: npt.NDArray[np.int64], bias: Numbers | None, exponent: int) -> Span:
    """Of any part of a sum of products and a bias: `weights` (inputs, outputs) have this exponent."""
    up, down = max(x.high, 0), max(-x.low, 0)
    above = np.maximum(weights, 0).sum(axis=0, dtype=object)
    below = np.maximum(-weights, 0).sum(axis=0, dtype=object)
    high = max((int(a) * up + int(b) * down for a, b in zip(above, below, strict=True)), default=0)
    low = -max((int(a) * down + int(b) * up for a, b in zip(above, below, strict=True)), default=0)
    product = Span(low, high, x.exponent + exponent)
    return product if bias is None else product.plus(bias.span.with_zero()).hull(bias.span)


def power_of_two(scale: Any) -> bool:
    """Whether all scales are powers of two (or zero)."""
    values = np.asarray(scale, np.float64)
    return bool(np.all(np.frexp(values[values != 0])[0] == 0.5))


def places(count: int) -> int | None:
    """log2 of a power of two; None for other numbers."""
    return int(math.log2(count)) if count & (count - 1) == 0 else None
