"""Layers that treat every number alike, or only move them: pooling, functions, merges, shapes."""

from __future__ import annotations

from typing import Final

from costmodel.data_type import DataType, NumberFormat
from costmodel.gates import LogicGate
from costmodel.layer import Layer
from costmodel.propagation import (
    FIXED8,
    accumulate,
    merge_add,
    merge_multiply,
    merge_same,
    merge_subtract,
    multiply,
)
from costmodel.typed_layer import LayerWork, Mode, Operation, TypedLayer, adder, layer_work, moved_type


def pool_max(typed: TypedLayer) -> LayerWork:
    """Comparisons, each priced as QTools prices Maximum; QTools itself prices none."""
    x = typed.inputs[0]
    compared = typed.lowering.extra["comparisons"]
    operations = [] if typed.qtools else [Operation("compare", compared, adder(x, 0.2))]
    return layer_work(typed, operations, moved_type(typed, x), typed.lowering.elements)


def pool_average(typed: TypedLayer) -> LayerWork:
    """A sum, and a multiplication by 1/n unless n is a power of two: then the point moves."""
    lowering, x = typed.lowering, typed.inputs[0]
    total = typed.computed(accumulate(x, lowering.terms))
    if typed.mode is Mode.REFERENCE:
        total = typed.accumulator
    operations = [Operation("accumulate", lowering.elements, adder(total))]
    mean = total
    if total.format is not NumberFormat.FLOAT and typed.mode is not Mode.REFERENCE:
        mean = DataType(NumberFormat.FIXED, total.bits, x.int_bits, total.signed)
    types = {"pool_sum_accumulator": total}
    scalings = lowering.extra["scalings"]
    if scalings:
        average = typed.parameter_type("average")
        gate, product = multiply(total, average, typed.qtools)
        operations.append(Operation("scale", scalings, gate))
        mean = typed.computed(product)
        types |= {"average": average, "pool_avg_multiplier": product}
    return layer_work(typed, operations, typed.parameterless_output(mean), lowering.elements, **types)


def shape_only(typed: TypedLayer) -> LayerWork:
    """Numbers moved, none computed."""
    return layer_work(typed, [], moved_type(typed, typed.inputs[0]), typed.lowering.elements)


#: Functions whose values are zero and numbers that they are given, and those that cut off at whole numbers.
SELECTING: Final = frozenset({"relu", "hard_shrink"})
CLIPPING: Final = frozenset({"relu6", "hard_tanh"})
#: Functions that compare and select; every other one is looked up in a table.
STRAIGHT: Final = frozenset(
    (
        "linear",
        "relu",
        "relu6",
        "leaky_relu",
        "hard_tanh",
        "hard_sigmoid",
        "hard_shrink",
        "soft_shrink",
        "threshold",
        "ReLU",
        "LeakyReLU",
        "PReLU",
    )
)


def activation(typed: TypedLayer) -> LayerWork:
    """A function of every number. QTools prices none."""
    lowering, x = typed.lowering, typed.inputs[0]
    name = typed.function(_function_name(typed.layer))
    operations = [] if typed.qtools else function(name, x, lowering.elements)
    return layer_work(
        typed, operations, typed.output(FIXED8 if typed.qtools else typed.internal), lowering.elements
    )


def in_layer(layer: Layer) -> str | None:
    """The function a layer with a kernel applies to its sums, None if it applies none."""
    name = function_name(layer.config.get("activation", "linear"))
    return None if name == "linear" or layer.class_name == "Activation" else name


def handed_on(typed: TypedLayer, total: DataType) -> DataType:
    """The output type of a layer with a kernel: its activation's, else what its function makes of the sums.

    Without a quantizer a function that does not keep the sums' grid computes floats, as an Activation layer does.
    """
    name = in_layer(typed.layer)
    keeps = name is None or name in SELECTING or (name in CLIPPING and total.fraction_bits >= 0)
    return typed.output(total if keeps or typed.qtools else typed.internal)


def function(name: str, x: DataType, count: int) -> list[Operation]:
    """What a function of `count` numbers of a type takes."""
    if name in ("softmax", "Softmax"):
        return softmax(x, count)
    if name in ("shiftmax", "Shiftmax"):
        return shiftmax(x, count)
    if name in STRAIGHT:
        return [Operation("compare", count, adder(x, 0.2))]
    return look_up(x, count)


def _function_name(layer: Layer) -> str:
    if layer.class_name != "Activation":
        return layer.class_name
    return function_name(layer.config.get("activation", "linear"))


def function_name(value: object) -> str:
    """The name of a function in a configuration: "custom" of one that has none."""
    return "linear" if value is None else value if isinstance(value, str) else "custom"


def look_up(x: DataType, count: int) -> list[Operation]:
    """A curved function out of a table with straight lines between its points: one product and one sum."""
    return [
        Operation("function multiply", count, multiply(x, x)[0]),
        Operation("function add", count, adder(x)),
    ]


def softmax(x: DataType, count: int) -> list[Operation]:
    """An exponential, a sum and a division each; a division is priced as a multiplication."""
    return [
        *look_up(x, count),
        Operation("sum", count, adder(x)),
        Operation("divide", count, multiply(x, x)[0]),
    ]


def shiftmax(x: DataType, count: int) -> list[Operation]:
    """Softmax to the base 2: a difference, a shift, a sum and a shift each."""
    return [
        Operation("subtract maximum", count, adder(x)),
        Operation("shift", 2 * count, adder(x)),
        Operation("sum", count, adder(x)),
    ]


def merge(typed: TypedLayer) -> LayerWork:
    """Tensors combined number by number: one operation for every input after the first; QTools counts the largest."""
    lowering, name = typed.lowering, typed.layer.class_name
    gate, result = _merged(typed, name)
    over = typed.accumulator if typed.mode is Mode.REFERENCE else None
    combined = lowering.extra["largest"] if typed.qtools else lowering.elements
    count = (len(typed.inputs) - 1) * combined
    output = typed.parameterless_output(result)
    if over is not None:
        result, gate = over, typed.priced_gate(gate, over)
    operations = [Operation(name.lower(), count, gate)] if gate.factor else []
    if name == "Average" and len(typed.inputs) & (len(typed.inputs) - 1):
        operations.append(Operation("scale", lowering.elements, multiply(result, result)[0]))
    types, gates = {"multiplier": result}, {"multiplier": gate}
    return LayerWork(tuple(operations), (), output, combined, types, gates)


def _merged(typed: TypedLayer, name: str) -> tuple[LogicGate, DataType]:
    types = typed.inputs
    if name == "Multiply":
        gate, product = merge_multiply(types, typed.qtools)
        return gate, typed.computed(product)
    if name in ("Add", "Subtract"):
        result = merge_subtract(types) if name == "Subtract" else merge_add(types, typed.qtools)
        result = typed.computed(result)
        return adder(result), result
    result = merge_same(types, typed.qtools)
    return adder(result, {"Average": 1, "Concatenate": 0}.get(name, 0.2)), result
