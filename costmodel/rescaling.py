"""Numbers times constants plus constants: Rescaling, and normalizations whose statistics are stated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from costmodel.data_type import DataType, NumberFormat
from costmodel.propagation import add, multiply
from costmodel.typed_layer import LayerWork, Mode, Operation, TypedLayer, adder, layer_work

Numbers: TypeAlias = tuple[float, ...]

#: Fraction bits that a constant may need to be taken as fixed point; others are taken as the reference's type.
_MOST_FRACTION: Final = 16
_EPSILON: Final = 1e-7  #: Keras' least standard deviation


def constants(class_name: str, config: Mapping[str, Any]) -> tuple[Numbers, Numbers] | None:
    """Scale and offset, each one number or one for each channel, of x * scale + offset.

    None for a normalization whose statistics are weights (`adapt`).
    """
    if class_name != "Normalization":
        return _numbers(config.get("scale", 1.0)), _numbers(config.get("offset", 0.0))
    if config.get("mean") is None or config.get("variance") is None:
        return None
    mean, variance = _numbers(config["mean"]), _numbers(config["variance"])
    deviation = tuple(max(math.sqrt(max(value, 0.0)), _EPSILON) for value in variance)
    if config.get("invert"):
        return deviation, mean
    return tuple(1.0 / value for value in deviation), tuple(
        -m / d for m, d in zip(mean, deviation, strict=True)
    )


def rescale(typed: TypedLayer) -> LayerWork:
    """x * scale + offset. A scale that is a power of two moves the point; an offset of 0 takes nothing."""
    values, count = constants(typed.layer.class_name, typed.layer.config), typed.lowering.elements
    scales, offsets = values or ((), ())
    result, operations = typed.inputs[0], []
    power = _power(scales)
    if power is not None and result.format is NumberFormat.FIXED:
        result = replace(result, int_bits=result.int_bits + power)
    elif scales != (1.0,):
        gate, product = multiply(constant_type(scales, typed.internal), result, typed.qtools)
        operations.append(Operation("scale", count, gate))
        result = typed.computed(product)
    if values is None or any(offsets):
        result = typed.computed(add(result, constant_type(offsets, typed.internal), typed.qtools))
        operations.append(Operation("shift", count, adder(result)))
    if typed.mode is Mode.REFERENCE:
        result = typed.accumulator
    return layer_work(typed, operations, typed.parameterless_output(result), count)


def constant_type(values: Sequence[float], otherwise: DataType) -> DataType:
    """The fixed-point type that holds constants exactly; `otherwise` where none of 16 fraction bits does."""
    for fraction in range(_MOST_FRACTION + 1):
        scaled = [value * 2.0**fraction for value in values]
        if values and all(number == int(number) for number in scaled):
            signed = min(values) < 0
            integer = max(int(max(abs(value) for value in values)).bit_length(), int(not fraction))
            return DataType(NumberFormat.FIXED, integer + fraction + int(signed), integer, signed)
    return otherwise


def _power(values: Sequence[float]) -> int | None:
    """The exponent of a power of two that all values are; None where they are not."""
    if not values or len(set(values)) > 1 or values[0] <= 0:
        return None
    mantissa, exponent = math.frexp(values[0])
    return exponent - 1 if mantissa == 0.5 else None


def _numbers(value: Any) -> Numbers:
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(float(item) for item in items)
