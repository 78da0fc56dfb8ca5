"""How data types propagate through multiplications, sums, merges and divisions.

The rules are those of QTools (google/qkeras, qtools/quantized_operators), restated. Where QTools tells types apart by
the name of a quantizer, `qtools=True` asks for its answer and False for the one the numbers alone give.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from costmodel.work import DataType, Kind

FIXED8: Final = DataType(Kind.FIXED, 8, 0)
FLOAT32: Final = DataType(Kind.FLOAT, 32, -1)

#: Names for the types of reference networks and of layers left unquantized.
REFERENCE_TYPES: Final = {
    "fp32": FLOAT32,
    "fp16": DataType(Kind.FLOAT, 16, -1),
    "int8": FIXED8,
    "int16": DataType(Kind.FIXED, 16, 7),
    "int32": DataType(Kind.FIXED, 32, 10),
}


def reference_type(name: str) -> DataType:
    """The type named fp32, fp16, int8 (8 bits, 0 of them integer), int16 (16, 7) or int32 (32, 10).

    Raises `ValueError` naming the allowed ones.
    """
    found = REFERENCE_TYPES.get(name) if isinstance(name, str) else None
    if found is None:
        raise ValueError(f"{str(name)[:40]!r} is not a type; allowed: {', '.join(REFERENCE_TYPES)}")
    return found


@dataclass(frozen=True, slots=True)
class Gate:
    """The circuit of one operation: energy = factor * price of `op` at `bits`.

    `op`: mul, add, mux, shifter, xor, and. `bits` may be fractional: it scales the price, nothing is that wide.
    `float_bits`: width of floating-point arithmetic, 0 for integers.
    """

    op: str
    factor: float
    bits: float
    float_bits: int = 0


@lru_cache(maxsize=65536)
def canonical(data_type: DataType, inference: bool = False) -> DataType:
    """The type with the fields QTools fixes for its kind: integer bits and signs of all but fixed point.

    The number of distinct values counts at `inference` only, when the weights are known.
    """
    match data_type.kind:
        case Kind.FIXED:
            return data_type
        case Kind.POWER_OF_TWO:
            bound = data_type.max_value or None
            distinct = data_type.distinct if inference else 0
            return replace(data_type, int_bits=data_type.bits, max_value=bound, distinct=distinct)
        case Kind.TERNARY:
            return DataType(Kind.TERNARY, 2, 2, True, stochastic=data_type.stochastic)
        case Kind.BINARY:
            return DataType(Kind.BINARY, 1, 1, True, stochastic=data_type.stochastic)
        case Kind.BINARY_01:
            return DataType(Kind.BINARY_01, 1, 1, False, stochastic=data_type.stochastic)
        case Kind.FLOAT:
            return DataType(Kind.FLOAT, data_type.bits, -1, True)


@lru_cache(maxsize=65536)
def multiply(weight: DataType, x: DataType, qtools: bool = False) -> tuple[Gate, DataType]:
    """The gate that multiplies two types and the type of the product.

    Fixed by fixed multiplies; a power of two shifts, or adds exponents; signs and zeros select (mux), flip (xor) or
    mask (and); anything with a float multiplies in floating point.
    """
    if Kind.FLOAT in (weight.kind, x.kind):
        bits = max(t.bits for t in (weight, x) if t.kind is Kind.FLOAT)
        return Gate("mul", 1, bits, bits), DataType(Kind.FLOAT, bits, -1)
    if Kind.BINARY_01 in (weight.kind, x.kind):
        return _and(weight, x, qtools)
    if weight.kind is Kind.BINARY and x.kind is Kind.BINARY:
        return Gate("xor", 0.3, 1), DataType(Kind.BINARY, 1, 1)
    if _is_sign(weight) or _is_sign(x):
        return _mux(weight, x, qtools)
    if Kind.POWER_OF_TWO in (weight.kind, x.kind):
        return _shift_or_add(weight, x, qtools)
    integer, signed = weight.int_bits + x.int_bits, weight.signed or x.signed
    bits = integer + weight.fraction_bits + x.fraction_bits + int(signed)
    return Gate("mul", 1, math.sqrt(weight.bits * x.bits)), DataType(Kind.FIXED, bits, integer, signed)


def _is_sign(data_type: DataType) -> bool:
    return data_type.kind in (Kind.TERNARY, Kind.BINARY)


def _product_kind(weight: DataType, x: DataType) -> Kind:
    """Kind of a product with a ternary or binary operand."""
    kinds = {weight.kind, x.kind}
    if kinds == {Kind.BINARY_01}:
        return Kind.BINARY_01
    if Kind.FIXED in kinds:
        return Kind.FIXED
    return Kind.POWER_OF_TWO if Kind.POWER_OF_TWO in kinds else Kind.TERNARY


def _bound(weight: DataType, x: DataType) -> float | None:
    """The bound a product inherits from its one power-of-two operand."""
    return weight.max_value if weight.kind is Kind.POWER_OF_TWO else x.max_value


def _and(weight: DataType, x: DataType, qtools: bool) -> tuple[Gate, DataType]:
    kind, signed = _product_kind(weight, x), weight.signed or x.signed
    if kind is Kind.TERNARY:
        return Gate("and", 0.1, 2), DataType(Kind.TERNARY, 2, 2)
    bits = max(weight.bits, x.bits)
    # QTools knows a {0, 1} weight by its name, and takes a Bernoulli one for an ordinary operand.
    masks = weight.kind is Kind.BINARY_01 and not (qtools and weight.stochastic)
    integer = x.int_bits if masks else weight.int_bits
    bound = _bound(weight, x) if kind is Kind.POWER_OF_TWO else None
    return Gate("and", 0.1, bits), DataType(kind, bits, integer, signed, bound)


def _mux(weight: DataType, x: DataType, qtools: bool) -> tuple[Gate, DataType]:
    selector, value = (weight, x) if _is_sign(weight) else (x, weight)
    bits = value.bits + int(selector.signed and not value.signed)
    two_way = selector.kind is Kind.BINARY
    if qtools and selector is not weight and selector.stochastic:
        two_way = False  # QTools compares the input's name with "binary" only
    kind = _product_kind(weight, x)
    power = kind is Kind.POWER_OF_TWO
    bound = _bound(weight, x) if power else None
    product = DataType(kind, bits, bits if power else value.int_bits, weight.signed or x.signed, bound)
    return Gate("mux", 0.3 if two_way else 0.6, value.bits), product


def _shift_or_add(weight: DataType, x: DataType, qtools: bool) -> tuple[Gate, DataType]:
    signed = weight.signed or x.signed
    if weight.kind is x.kind:
        bits, integer = _exponents_added(weight, x, signed, qtools)
        both = weight.max_value is not None and x.max_value is not None
        bound = (weight.max_value or 0) * (x.max_value or 0) if both else None
        return Gate("add", 1, bits), DataType(Kind.POWER_OF_TWO, bits, integer, signed, bound)
    power, value = (weight, x) if weight.kind is Kind.POWER_OF_TWO else (x, weight)
    low, high = exponent_range(power)
    return _shifter(power, value), _shifted(value, power, low, high)


def _exponents_added(a: DataType, b: DataType, signed: bool, qtools: bool) -> tuple[int, int]:
    """Bits and integer bits of a power of two whose exponent is the sum or difference of two.

    QTools takes one bit more than the wider of the two, which one with and one without a sign can outgrow.
    """
    if qtools:
        return max(a.bits, b.bits) + 1, max(a.int_bits, b.int_bits) + 1
    bits = max(a.bits - int(a.signed), b.bits - int(b.signed)) + 1 + int(signed)
    return bits, bits


def _shifted(value: DataType, power: DataType, right: float, left: float) -> DataType:
    bits = int(value.bits + left + right) + int(power.signed and not value.signed)
    return DataType(Kind.FIXED, bits, int(value.int_bits + left), value.signed or power.signed)


def _shifter(power: DataType, value: DataType) -> Gate:
    """A barrel shifter; one of known distances, if the distinct powers of a trained tensor are known."""
    if power.distinct:
        return Gate("shifter", 0.3 * power.distinct, value.bits)
    width = math.sqrt(2**power.bits * value.bits)
    return Gate("shifter", 1, width * math.log10(width))


def exponent_range(power: DataType) -> tuple[float, int]:
    """(right, left): how far a power of two shifts to the right and to the left."""
    width = power.bits - int(power.signed)
    right = 2.0 ** (width - 1)
    left = right - 1
    if power.max_value is not None:
        left = min(left, math.ceil(math.log2(power.max_value))) if power.max_value > 0 else 0
    return right, int(max(0, left))


def as_fixed(data_type: DataType) -> DataType:
    """The fixed-point type that holds every value of a power-of-two type; other types unchanged."""
    if data_type.kind is not Kind.POWER_OF_TWO:
        return data_type
    right, left = exponent_range(data_type)
    return DataType(Kind.FIXED, int(data_type.signed + right + left), left, data_type.signed)


@lru_cache(maxsize=65536)
def accumulate(product: DataType, terms: int) -> DataType:
    """The type that holds the sum of `terms` products: ceil(log2 terms) integer bits more."""
    if product.kind is Kind.FLOAT:
        return product
    value = as_fixed(product)
    grown = math.ceil(math.log2(terms))
    return DataType(Kind.FIXED, value.bits + grown, value.int_bits + grown, value.signed)


@lru_cache(maxsize=65536)
def add(first: DataType, second: DataType, qtools: bool = False) -> DataType:
    """The type that holds the sum of two numbers: one integer bit more than the larger, the finer fraction."""
    if Kind.FLOAT in (first.kind, second.kind):
        floats = [t.bits for t in (first, second) if qtools or t.kind is Kind.FLOAT]
        return DataType(Kind.FLOAT, max(floats), -1)
    # QTools forgets to expand a power of two that 0 or 1 is added to.
    raw = qtools and first.kind is Kind.POWER_OF_TWO and second.kind is Kind.BINARY_01
    a, b = first if raw else as_fixed(first), as_fixed(second)
    integer, signed = max(a.int_bits, b.int_bits) + 1, a.signed or b.signed
    fraction = max(a.fraction_bits, b.fraction_bits)
    return DataType(Kind.FIXED, integer + int(signed) + fraction, integer, signed)


def widen(data_type: DataType, extra: int = 1) -> DataType:
    """The fixed-point type with `extra` integer bits more; a float stays."""
    if data_type.kind is Kind.FLOAT:
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
    found = _covering(types, int(any(t.signed for t in types)))
    return (
        found
        if found.signed or found.kind is Kind.FLOAT
        else replace(found, bits=found.bits + 1, signed=True)
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
    floats = [t.bits for t in types if t.kind is Kind.FLOAT]
    if floats:
        return DataType(Kind.FLOAT, max(floats), -1)
    fixed = [as_fixed(t) for t in types]
    bits, integer = max(t.bits for t in fixed) + extra, max(t.int_bits for t in fixed) + extra
    return DataType(Kind.FIXED, bits, integer, any(t.signed for t in types))


def _covering(types: Sequence[DataType], extra: int) -> DataType:
    floats = [t.bits for t in types if t.kind is Kind.FLOAT]
    if floats:
        return DataType(Kind.FLOAT, max(floats), -1)
    fixed = [as_fixed(t) for t in types]
    integer, signed = max(t.int_bits for t in fixed) + extra, any(t.signed for t in fixed)
    bits = integer + max(t.fraction_bits for t in fixed) + int(signed)
    return DataType(Kind.FIXED, bits, integer, signed)


def _alike(a: DataType, b: DataType) -> bool:
    return (a.kind, a.bits, a.int_bits, a.signed, a.stochastic) == (
        b.kind,
        b.bits,
        b.int_bits,
        b.signed,
        b.stochastic,
    )


def merge_multiply(types: Sequence[DataType], qtools: bool = False) -> tuple[Gate, DataType]:
    """Gate and type of a product of tensors; QTools prices every product by the last one's gate."""
    gate, product = multiply(types[0], types[1], qtools)
    for other in types[2:]:
        gate, product = multiply(product, other, qtools)
    return gate, product


def deviation(variance: DataType) -> DataType:
    """The type of a standard deviation: half the exponent range of a power-of-two variance."""
    if variance.kind is not Kind.POWER_OF_TWO:
        return variance
    bound = None if variance.max_value is None else float(round(math.sqrt(variance.max_value)))
    return replace(variance, bits=variance.bits - 1, int_bits=variance.bits - 1, max_value=bound)


@lru_cache(maxsize=65536)
def divide(numerator: DataType, denominator: DataType, qtools: bool = False) -> tuple[Gate, DataType]:
    """Gate and type of a quotient; a division that is no shift is priced as a float multiplication.

    Raises `ValueError` for a ternary or binary denominator.
    """
    if denominator.kind in (Kind.TERNARY, Kind.BINARY, Kind.BINARY_01):
        raise ValueError(f"cannot divide by {denominator.kind} numbers; use fixed, po2 or float")
    if Kind.FLOAT in (numerator.kind, denominator.kind):
        bits = max(t.bits for t in (numerator, denominator) if t.kind is Kind.FLOAT)
        return Gate("mul", 1, bits, bits), DataType(Kind.FLOAT, bits, -1)
    if denominator.kind is Kind.FIXED:
        return Gate("mul", 1, 32, 32), FLOAT32
    if numerator.kind is Kind.POWER_OF_TWO:
        return _quotient_of_powers(numerator, denominator, qtools)
    right, left = exponent_range(denominator)
    quotient = _shifted(numerator, denominator, left, right)
    if numerator.kind in (Kind.BINARY, Kind.BINARY_01):
        quotient = replace(quotient, kind=Kind.POWER_OF_TWO)
    return _shifter(denominator, numerator), quotient


def _quotient_of_powers(numerator: DataType, denominator: DataType, qtools: bool) -> tuple[Gate, DataType]:
    signed = qtools or numerator.signed or denominator.signed
    bits, integer = _exponents_added(numerator, denominator, signed, qtools)
    bound = None
    if numerator.max_value is not None and denominator.max_value:
        bound = numerator.max_value / denominator.max_value
    distinct = numerator.distinct * denominator.distinct
    quotient = DataType(Kind.POWER_OF_TWO, bits, integer, signed, bound, distinct=distinct)
    return Gate("add", 1, bits), quotient
