"""How data types propagate through multiplications, sums, merges and divisions.

The rules are those of QTools (google/qkeras, qtools/quantized_operators), restated. Where QTools distinguishes types
by the name of a quantizer, `qtools=True` gives its answer and False the one that follows from the numbers alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from costmodel.data_type import DataType, NumberFormat
from costmodel.gates import LogicGate
from costmodel.powers_of_two import (
    as_fixed,
    product_of_powers,
    quotient,
    quotient_of_powers,
    shifted,
    shifter,
)

FIXED8: Final = DataType(NumberFormat.FIXED, 8, 0)
FLOAT32: Final = DataType(NumberFormat.FLOAT, 32, -1)

#: Names for the types of reference networks and of layers left unquantized.
REFERENCE_TYPES: Final = {
    "fp32": FLOAT32,
    "fp16": DataType(NumberFormat.FLOAT, 16, -1),
    "int8": FIXED8,
    "int16": DataType(NumberFormat.FIXED, 16, 7),
    "int32": DataType(NumberFormat.FIXED, 32, 10),
}


def reference_type(name: str) -> DataType:
    """The type named fp32, fp16, int8 (8 bits, 0 of them integer), int16 (16, 7) or int32 (32, 10).

    Raises `ValueError` listing the allowed names.
    """
    data_type = REFERENCE_TYPES.get(name) if isinstance(name, str) else None
    if data_type is None:
        raise ValueError(f"{str(name)[:40]!r} is not a type; allowed: {', '.join(REFERENCE_TYPES)}")
    return data_type


@lru_cache(maxsize=65536)
def canonical(data_type: DataType, inference: bool = False) -> DataType:
    """The type with the fields QTools fixes for its format: integer bits and signs of all but fixed point.

    The number of distinct values counts at `inference` only, when the weights are known. How the numbers came about,
    by which function, is no part of the type that the next layer reads.
    """
    match data_type.format:
        case NumberFormat.FIXED:
            return replace(data_type, function="") if data_type.function else data_type
        case NumberFormat.POWER_OF_TWO:
            bound = data_type.max_value or None
            distinct = data_type.distinct if inference else 0
            return replace(
                data_type, int_bits=data_type.bits, max_value=bound, distinct=distinct, function=""
            )
        case NumberFormat.TERNARY:
            return DataType(NumberFormat.TERNARY, 2, 2, True, stochastic=data_type.stochastic)
        case NumberFormat.BINARY:
            return DataType(NumberFormat.BINARY, 1, 1, True, stochastic=data_type.stochastic)
        case NumberFormat.BINARY_01:
            return replace(
                data_type, bits=1, int_bits=1, signed=False, max_value=None, distinct=0, function=""
            )
        case NumberFormat.FLOAT:
            return DataType(NumberFormat.FLOAT, data_type.bits, -1, True)


@lru_cache(maxsize=65536)
def multiply(weight: DataType, x: DataType, qtools: bool = False) -> tuple[LogicGate, DataType]:
    """The gate that multiplies two types and the type of the product.

    Fixed by fixed multiplies; a power of two shifts, or adds exponents; signs and zeros select (mux), flip (xor) or
    mask (and); anything with a float multiplies in floating point.
    """
    if NumberFormat.FLOAT in (weight.format, x.format):
        bits = max(t.bits for t in (weight, x) if t.format is NumberFormat.FLOAT)
        return LogicGate("mul", 1, bits, bits), DataType(NumberFormat.FLOAT, bits, -1)
    if NumberFormat.BINARY_01 in (weight.format, x.format):
        return _and(weight, x, qtools)
    if weight.format is NumberFormat.BINARY and x.format is NumberFormat.BINARY:
        return LogicGate("xor", 0.3, 1), DataType(NumberFormat.BINARY, 1, 1)
    if _is_sign(weight) or _is_sign(x):
        return _mux(weight, x, qtools)
    if NumberFormat.POWER_OF_TWO in (weight.format, x.format):
        return _shift_or_add(weight, x, qtools)
    integer, signed = weight.int_bits + x.int_bits, weight.signed or x.signed
    bits = integer + weight.fraction_bits + x.fraction_bits + int(signed)
    return LogicGate("mul", 1, math.sqrt(weight.bits * x.bits)), DataType(
        NumberFormat.FIXED, bits, integer, signed
    )


def _is_sign(data_type: DataType) -> bool:
    return data_type.format in (NumberFormat.TERNARY, NumberFormat.BINARY)


def _product_format(weight: DataType, x: DataType) -> NumberFormat:
    """NumberFormat of a product with a ternary or binary operand."""
    formats = {weight.format, x.format}
    if formats == {NumberFormat.BINARY_01}:
        return NumberFormat.BINARY_01
    if NumberFormat.FIXED in formats:
        return NumberFormat.FIXED
    return NumberFormat.POWER_OF_TWO if NumberFormat.POWER_OF_TWO in formats else NumberFormat.TERNARY


def _as_power(result: DataType, weight: DataType, x: DataType) -> DataType:
    """A product with the bound and the exponents of its one power-of-two operand; others unchanged."""
    if result.format is not NumberFormat.POWER_OF_TWO:
        return result
    power = weight if weight.format is NumberFormat.POWER_OF_TWO else x
    return replace(result, max_value=power.max_value, exponents=power.exponents)


def _and(weight: DataType, x: DataType, qtools: bool) -> tuple[LogicGate, DataType]:
    result, signed = _product_format(weight, x), weight.signed or x.signed
    if result is NumberFormat.TERNARY:
        return LogicGate("and", 0.1, 2), DataType(NumberFormat.TERNARY, 2, 2)
    bits = max(weight.bits, x.bits)
    # QTools knows a {0, 1} weight by its name, and takes one of Bernoulli or of a ReLU for an ordinary operand.
    masks = weight.format is NumberFormat.BINARY_01 and not (qtools and (weight.stochastic or weight.relu))
    integer = x.int_bits if masks else weight.int_bits
    return LogicGate("and", 0.1, bits), _as_power(DataType(result, bits, integer, signed), weight, x)


def _mux(weight: DataType, x: DataType, qtools: bool) -> tuple[LogicGate, DataType]:
    selector, value = (weight, x) if _is_sign(weight) else (x, weight)
    bits = value.bits + int(selector.signed and not value.signed)
    two_way = selector.format is NumberFormat.BINARY
    if qtools and selector is not weight and selector.stochastic:
        two_way = False  # QTools compares the input's name with "binary" only
    result = _product_format(weight, x)
    integer = bits if result is NumberFormat.POWER_OF_TWO else value.int_bits
    product = _as_power(DataType(result, bits, integer, weight.signed or x.signed), weight, x)
    return LogicGate("mux", 0.3 if two_way else 0.6, value.bits), product


def _shift_or_add(weight: DataType, x: DataType, qtools: bool) -> tuple[LogicGate, DataType]:
    if weight.format is x.format:
        product = product_of_powers(weight, x, weight.signed or x.signed, qtools)
        return LogicGate("add", 1, product.bits), product
    power, value = (weight, x) if weight.format is NumberFormat.POWER_OF_TWO else (x, weight)
    return shifter(power, value), shifted(value, power)


@lru_cache(maxsize=65536)
def accumulate(product: DataType, terms: int) -> DataType:
    """The type that holds the sum of `terms` products: ceil(log2 terms) integer bits more."""
    if product.format is NumberFormat.FLOAT:
        return product
    value = as_fixed(product)
    grown = math.ceil(math.log2(terms))
    return DataType(NumberFormat.FIXED, value.bits + grown, value.int_bits + grown, value.signed)


@lru_cache(maxsize=65536)
def add(first: DataType, second: DataType, qtools: bool = False) -> DataType:
    """The type that holds the sum of two numbers: one integer bit more than the larger, the finer fraction."""
    if NumberFormat.FLOAT in (first.format, second.format):
        floats = [t.bits for t in (first, second) if qtools or t.format is NumberFormat.FLOAT]
        return DataType(NumberFormat.FLOAT, max(floats), -1)
    # QTools forgets to expand a power of two that 0 or 1 is added to.
    raw = qtools and first.format is NumberFormat.POWER_OF_TWO and second.format is NumberFormat.BINARY_01
    a, b = first if raw else as_fixed(first), as_fixed(second)
    integer, signed = max(a.int_bits, b.int_bits) + 1, a.signed or b.signed
    fraction = max(a.fraction_bits, b.fraction_bits)
    return DataType(NumberFormat.FIXED, integer + int(signed) + fraction, integer, signed)


def widen(data_type: DataType, extra: int = 1) -> DataType:
    """The fixed-point type with `extra` integer bits more; a float stays."""
    if data_type.format is NumberFormat.FLOAT:
        return data_type
    return replace(data_type, bits=data_type.bits + extra, int_bits=data_type.int_bits + extra)


def shifted_scales(product: DataType, largest: int, smallest: int) -> DataType:
    """The type that holds a product under every scale from 2**smallest to 2**largest (QTools, auto_po2)."""
    integer = product.int_bits + largest
    return replace(product, bits=integer + product.bits - product.int_bits - smallest, int_bits=integer)


def merge_add(types: Sequence[DataType], qtools: bool = False) -> DataType:
    """The type of a sum of tensors: room for all of them; for QTools one bit more than the widest."""
    extra = 1 if qtools else math.ceil(math.log2(len(types)))
    return _widest(types, extra) if qtools else _covering(types, extra)


def merge_subtract(types: Sequence[DataType]) -> DataType:
    """The type of a difference: signed, and of unsigned numbers no larger than they are."""
    difference = _covering(types, int(any(t.signed for t in types)))
    return (
        difference
        if difference.signed or difference.format is NumberFormat.FLOAT
        else replace(difference, bits=difference.bits + 1, signed=True)
    )


def merge_same(types: Sequence[DataType], qtools: bool = False) -> DataType:
    """The type of maximum, minimum, average and concatenation: the inputs' own if all agree, else one for all.

    QTools takes the most bits and the most integer bits, which may leave too few for the fraction.
    """
    first = types[0]
    if all(_alike(first, other) for other in types[1:]):
        return first
    return _widest(types, 0) if qtools else _covering(types, 0)


def _widest(types: Sequence[DataType], extra: int) -> DataType:
    floats = [t.bits for t in types if t.format is NumberFormat.FLOAT]
    if floats:
        return DataType(NumberFormat.FLOAT, max(floats), -1)
    fixed = [as_fixed(t) for t in types]
    bits, integer = max(t.bits for t in fixed) + extra, max(t.int_bits for t in fixed) + extra
    return DataType(NumberFormat.FIXED, bits, integer, any(t.signed for t in types))


def _covering(types: Sequence[DataType], extra: int) -> DataType:
    floats = [t.bits for t in types if t.format is NumberFormat.FLOAT]
    if floats:
        return DataType(NumberFormat.FLOAT, max(floats), -1)
    fixed = [as_fixed(t) for t in types]
    integer, signed = max(t.int_bits for t in fixed) + extra, any(t.signed for t in fixed)
    bits = integer + max(t.fraction_bits for t in fixed) + int(signed)
    return DataType(NumberFormat.FIXED, bits, integer, signed)


def _alike(a: DataType, b: DataType) -> bool:
    return all(
        getattr(a, name) == getattr(b, name)
        for name in ("format", "bits", "int_bits", "signed", "stochastic", "exponents")
    )


def merge_multiply(types: Sequence[DataType], qtools: bool = False) -> tuple[LogicGate, DataType]:
    """LogicGate and type of a product of tensors; QTools prices every product by the last one's gate."""
    gate, product = multiply(types[0], types[1], qtools)
    for other in types[2:]:
        gate, product = multiply(product, other, qtools)
    return gate, product


@lru_cache(maxsize=65536)
def divide(numerator: DataType, denominator: DataType, qtools: bool = False) -> tuple[LogicGate, DataType]:
    """LogicGate and type of a quotient; a division that is not a shift is priced as a float multiplication.

    Raises `ValueError` for a ternary or binary denominator.
    """
    if denominator.format in (NumberFormat.TERNARY, NumberFormat.BINARY, NumberFormat.BINARY_01):
        raise ValueError(f"cannot divide by {denominator.format} numbers; use fixed, po2 or float")
    if NumberFormat.FLOAT in (numerator.format, denominator.format):
        bits = max(t.bits for t in (numerator, denominator) if t.format is NumberFormat.FLOAT)
        return LogicGate("mul", 1, bits, bits), DataType(NumberFormat.FLOAT, bits, -1)
    if denominator.format is NumberFormat.FIXED:
        return LogicGate("mul", 1, 32, 32), FLOAT32
    if numerator.format is NumberFormat.POWER_OF_TWO:
        ratio = quotient_of_powers(numerator, denominator, qtools)
        return LogicGate("add", 1, ratio.bits), ratio
    return shifter(denominator, numerator), quotient(numerator, denominator, qtools)
