"""The data type of a tensor: number format and widths, as frozen values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class NumberFormat(StrEnum):
    """How the numbers of a tensor are represented, by the formats of QTools."""

    FIXED = "fixed"  #: two's complement or unsigned fixed point
    POWER_OF_TWO = "po2"  #: sign bit and exponent
    TERNARY = "ternary"  #: -1, 0, +1
    BINARY = "binary"  #: -1, +1
    BINARY_01 = "binary01"  #: 0, 1
    FLOAT = "float"  #: IEEE floating point of `bits` bits


@dataclass(frozen=True, slots=True)
class DataType:
    """The type of every number of one tensor.

    `bits` counts the sign, `int_bits` does not. `max_value` bounds a power of two; None is unbounded. `stochastic`:
    drawn at random while training; QTools, and so its bit-compatible accounting, prices a few gates of such a type
    differently. `distinct`: how many different values a trained power-of-two tensor holds, 0 if unknown. `exponents`:
    smallest and largest exponent of a power of two; None where only its width is known. `relu`: of a ReLU whose sign,
    or whose zeros and ones, QTools reads off its name. `function`: the function that a quantizer in the slot of a
    function computes in the layer's place; empty for a grid, onto which the values of the layer's own are rounded.
    `channel_bits`: of a weight, the bits of each output channel, 0 for one of zeros, where they differ; `bits` and
    `int_bits` are then those of the narrowest type that holds all channels.
    """

    format: NumberFormat
    bits: int
    int_bits: int = 0
    signed: bool = True
    max_value: float | None = None
    stochastic: bool = False
    distinct: int = 0
    exponents: tuple[int, int] | None = None
    relu: bool = False
    function: str = ""
    channel_bits: tuple[int, ...] = ()

    @property
    def fraction_bits(self) -> int:
        """Bits right of the binary point."""
        return self.bits - int(self.signed) - self.int_bits

    @property
    def whole(self) -> DataType:
        """The type that holds every channel, without the widths of each."""
        return replace(self, channel_bits=()) if self.channel_bits else self

    def stored_bits(self, count: int) -> int:
        """Bits of `count` numbers, equally many of every channel."""
        if not self.channel_bits:
            return count * self.bits
        return -(-count * sum(self.channel_bits) // len(self.channel_bits))

    def parts(self, count: int) -> tuple[tuple[int, DataType], ...]:
        """`count` numbers, equally many of every channel, as (how many, their type) for each width but 0."""
        if not self.channel_bits:
            return ((count, self),)
        widths = Counter(self.channel_bits)
        return tuple(
            (count * channels // len(self.channel_bits), replace(self, bits=bits, channel_bits=()))
            for bits, channels in sorted(widths.items())
            if bits
        )

    def __hash__(self) -> int:
        # Types are looked up millions of times in a search, and differ in these three nearly always.
        return hash((self.bits, self.int_bits, self.signed))


#: Types of the tensors a quantized layer owns: slot ("kernel", "bias", "activation", ...) -> type.
#: None: not quantized.
SlotTypes = Mapping[str, DataType | None]
