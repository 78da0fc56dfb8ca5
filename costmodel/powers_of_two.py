"""Powers of two: their exponents, as fixed point, shifted by, multiplied and divided.

A type that states its `exponents` has exactly those. One that does not has those of QTools, which take one bit less
than the exponents need; in QTools' accounting no type states them.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from costmodel.data_type import DataType, NumberFormat
from costmodel.gates import LogicGate

#: Exponents of the normal numbers of float32: what a trained network can hold.
_FLOAT32: Final = (-126, 127)


def as_counted(data_type: DataType, qtools: bool) -> DataType:
    """A type as an accounting takes it: a power of two with the exponents that it states, else those of its width.

    For QTools without any; and it does not see a ReLU's slope, neither in the sign of its powers of two nor in its
    single bit.
    """
    if qtools:
        return _as_qtools(data_type)
    if data_type.format is not NumberFormat.POWER_OF_TWO or data_type.exponents is not None:
        return data_type
    return replace(data_type, exponents=_by_width(data_type))


def _as_qtools(data_type: DataType) -> DataType:
    if data_type.format is NumberFormat.POWER_OF_TWO and (data_type.exponents or data_type.relu):
        return replace(data_type, exponents=None, signed=data_type.signed and not data_type.relu)
    if data_type.format is NumberFormat.FIXED and data_type.relu:
        return replace(data_type, format=NumberFormat.BINARY_01)
    return data_type


def _by_width(power: DataType) -> tuple[int, int]:
    width = power.bits - int(power.signed)
    if not width:
        return 0, 0
    bound = math.inf if power.max_value is None else math.ceil(math.log2(power.max_value))
    least, most = _FLOAT32
    high = int(max(least, min(2 ** (width - 1) - 1, bound, most)))
    return max(high - 2**width + 1, least) if bound <= 0 else max(-(2 ** (width - 1)), least), high


def shifts(power: DataType) -> tuple[float, int]:
    """(right, left): how far a power of two shifts to the right and to the left; negative where it never does."""
    if power.exponents is not None:
        return -power.exponents[0], power.exponents[1]
    width = power.bits - int(power.signed)
    right = 2.0 ** (width - 1)
    left = right - 1
    if power.max_value is not None:
        left = min(left, math.ceil(math.log2(power.max_value))) if power.max_value > 0 else 0
    return right, int(max(0, left))


def as_fixed(data_type: DataType) -> DataType:
    """The fixed-point type that holds every value of a power-of-two type; other types unchanged."""
    if data_type.format is not NumberFormat.POWER_OF_TWO:
        return data_type
    if data_type.exponents is not None:
        low, high = data_type.exponents
        bits = high - low + 1 + int(data_type.signed)
        return DataType(NumberFormat.FIXED, bits, high + 1, data_type.signed)
    right, left = shifts(data_type)
    return DataType(NumberFormat.FIXED, int(data_type.signed + right + left), left, data_type.signed)


def shifter(power: DataType, value: DataType) -> LogicGate:
    """A barrel shifter; one of known distances, if the distinct powers of a trained tensor are known."""
    if power.distinct:
        return LogicGate("shifter", 0.3 * power.distinct, value.bits)
    powers: float = 2**power.bits
    if power.exponents is not None:  # of a wide exponent not every value is a distance
        low, high = power.exponents
        powers = min(powers, 2 ** ((high - low).bit_length() + int(power.signed)))
    width = max(math.sqrt(powers * value.bits), 1.0)
    return LogicGate("shifter", 1, width * math.log10(width))


def shifted(value: DataType, power: DataType) -> DataType:
    """The type of a number times a power of two."""
    right, left = shifts(power)
    return _moved(value, power, right, left)


def quotient(value: DataType, power: DataType, qtools: bool) -> DataType:
    """The type of a number by a power of two; of a sign by one it is a power of two itself."""
    right, left = shifts(power)
    if value.format not in (NumberFormat.BINARY, NumberFormat.BINARY_01):
        return _moved(value, power, left, right)
    if qtools:
        return replace(_moved(value, power, left, right), format=NumberFormat.POWER_OF_TWO)
    exponents = (-left, int(right))
    return replace(
        power, signed=power.signed or value.signed, max_value=None, distinct=0, exponents=exponents
    )


def _moved(value: DataType, power: DataType, right: float, left: float) -> DataType:
    bits = int(value.bits + left + right) + int(power.signed and not value.signed)
    return DataType(NumberFormat.FIXED, bits, int(value.int_bits + left), value.signed or power.signed)


def product_of_powers(a: DataType, b: DataType, signed: bool, qtools: bool) -> DataType:
    """The type of a power of two times another."""
    bits, integer = _exponents_added(a, b, signed, qtools)
    both = a.max_value is not None and b.max_value is not None
    bound = (a.max_value or 0) * (b.max_value or 0) if both else None
    exponents = None
    if a.exponents is not None and b.exponents is not None:
        exponents = (a.exponents[0] + b.exponents[0], a.exponents[1] + b.exponents[1])
    return DataType(NumberFormat.POWER_OF_TWO, bits, integer, signed, bound, exponents=exponents)


def quotient_of_powers(numerator: DataType, denominator: DataType, qtools: bool) -> DataType:
    """The type of a power of two by another."""
    signed = qtools or numerator.signed or denominator.signed
    bits, integer = _exponents_added(numerator, denominator, signed, qtools)
    bound, exponents = None, None
    if numerator.max_value is not None and denominator.max_value:
        bound = numerator.max_value / denominator.max_value
    if numerator.exponents is not None and denominator.exponents is not None:
        (low, high), (least, most) = numerator.exponents, denominator.exponents
        exponents = (low - most, high - least)
    return DataType(
        NumberFormat.POWER_OF_TWO,
        bits,
        integer,
        signed,
        bound,
        distinct=numerator.distinct * denominator.distinct,
        exponents=exponents,
    )


def _exponents_added(a: DataType, b: DataType, signed: bool, qtools: bool) -> tuple[int, int]:
    """Bits and integer bits of a power of two whose exponent is the sum or difference of two.

    QTools takes one bit more than the wider of the two, which one with and one without a sign can outgrow.
    """
    if qtools:
        return max(a.bits, b.bits) + 1, max(a.int_bits, b.int_bits) + 1
    bits = max(a.bits - int(a.signed), b.bits - int(b.signed)) + 1 + int(signed)
    return bits, bits


def deviation(variance: DataType) -> DataType:
    """The type of a standard deviation: half the exponent range of a power-of-two variance."""
    if variance.format is not NumberFormat.POWER_OF_TWO:
        return variance
    bound = None if variance.max_value is None else float(round(math.sqrt(variance.max_value)))
    exponents = None
    if variance.exponents is not None:
        exponents = (variance.exponents[0] // 2, -(-variance.exponents[1] // 2))
    return replace(
        variance, bits=variance.bits - 1, int_bits=variance.bits - 1, max_value=bound, exponents=exponents
    )
