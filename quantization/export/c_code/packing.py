"""Constants of a C program: arrays of the narrowest type, and weights packed to their bits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

_TYPES: Final = (
    ("int8_t", -(1 << 7), (1 << 7) - 1, 1),
    ("uint8_t", 0, (1 << 8) - 1, 1),
    ("int16_t", -(1 << 15), (1 << 15) - 1, 2),
    ("uint16_t", 0, (1 << 16) - 1, 2),
    ("int32_t", -(1 << 31), (1 << 31) - 1, 4),
    ("int64_t", -(1 << 63), (1 << 63) - 1, 8),
)
_PER_LINE: Final = 16


def narrowest(low: int, high: int) -> tuple[str, int]:
    """The narrowest C type that holds numbers from low to high, and its bytes."""
    return next((name, size) for name, least, most, size in _TYPES if least <= low and high <= most)


@dataclass(frozen=True)
class Constant:
    """An array of a C program. `bits`: of each packed number, 0 where it is an array of a type of C.

    A packed number u stands for low + step * u, or for the u-th of `values`, if it has any.
    """

    name: str
    type: str
    numbers: tuple[int, ...]
    size_bytes: int
    bits: int = 0
    low: int = 0
    step: int = 1
    values: tuple[int, ...] = ()

    @property
    def declaration(self) -> str:
        """The array, and that of its values."""
        text = _array(self.name, self.type, self.numbers)
        if self.values:
            text = (
                _array(f"{self.name}_values", narrowest(min(self.values), max(self.values))[0], self.values)
                + text
            )
        return text

    def read(self, index: str) -> str:
        """The number at an index, as C."""
        if not self.bits:
            return f"{self.name}[{index}]"
        code = f"packed({self.name}, (uint32_t)({index}), {self.bits})"
        if self.values:
            return f"{self.name}_values[{code}]"
        scaled = code if self.step == 1 else f"{code} * {self.step}"
        return f"({scaled} + ({self.low}))" if self.low else f"({scaled})"


def constant(name: str, array: Any, *, packed: bool) -> Constant:
    """An array as a constant; with `packed` in the fewest bits, where that saves bytes."""
    numbers = [int(number) for number in np.ravel(array)]
    kind, size = narrowest(min(numbers), max(numbers))
    plain = Constant(name, kind, tuple(numbers), size * len(numbers))
    if not packed:
        return plain
    return min((plain, *_packed(name, numbers)), key=lambda choice: choice.size_bytes)


def _packed(name: str, numbers: list[int]) -> list[Constant]:
    """The numbers in bits: on a line, or as places in a table of their values."""
    low = min(numbers)
    step = math.gcd(*(number - low for number in numbers)) or 1
    choices = [_in_bits(name, [(number - low) // step for number in numbers], low=low, step=step)]
    values = tuple(sorted(set(numbers)))
    if len(values) <= 256:
        places = {value: place for place, value in enumerate(values)}
        choices.append(_in_bits(name, [places[number] for number in numbers], values=values))
    return [choice for choice in choices if choice is not None]


def _in_bits(
    name: str, codes: list[int], *, low: int = 0, step: int = 1, values: tuple[int, ...] = ()
) -> Constant | None:
    bits = max(1, max(codes).bit_length())
    if bits > 24:  # a number and the bits before it lie within four bytes
        return None
    stream = np.zeros(len(codes) * bits, np.uint8)
    array = np.asarray(codes, np.int64)
    for place in range(bits):
        stream[place::bits] = (array >> place) & 1
    packed = [*np.packbits(stream, bitorder="little").tolist(), 0, 0, 0]  # a read ends beyond the last number
    table = narrowest(min(values), max(values))[1] * len(values) if values else 0
    return Constant(name, "uint8_t", tuple(packed), len(packed) + table, bits, low, step, values)


def _array(name: str, kind: str, numbers: tuple[int, ...]) -> str:
    texts = [_number(number, kind) for number in numbers]
    lines = [", ".join(texts[start : start + _PER_LINE]) for start in range(0, len(texts), _PER_LINE)]
    body = ",\n    ".join(lines)
    return f"static const {kind} {name}[{len(numbers)}] = {{\n    {body}\n}};\n"


def _number(number: int, kind: str) -> str:
    if kind == "int64_t":
        return "INT64_MIN" if number == -(1 << 63) else f"INT64_C({number})"
    return "(-INT32_C(2147483647) - 1)" if number == -(1 << 31) else str(number)
