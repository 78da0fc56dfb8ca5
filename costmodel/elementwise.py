"""Layers that treat every number alike, or only move them: pooling, functions, merges, shapes."""

from __future__ import annotations

from typing import Final

from costmodel.case import Case, Mode, Operation, Work, adder, finished, moved
from costmodel.datatypes import (
    FIXED8,
    Gate,
    accumulate,
    merge_add,
    merge_multiply,
    merge_same,
    merge_subtract,
    multiply,
)
from costmodel.layer import Layer
from costmodel.work import DataType, Kind


def pool_max(case: Case) -> Work:
    """Comparisons, each priced as QTools prices Maximum; QTools itself prices none."""
    x = case.inputs[0]
    compared = case.lowering.extra["comparisons"]
    operations = [] if case.qtools else [Operation("compare", compared, adder(x, 0.2))]
    return finished(case, operations, moved(case, x), case.lowering.elements)


def pool_average(case: Case) -> Work:
    """A sum, and a multiplication by 1/n unless n is a power of two: then the point moves."""
    lowering, x = case.lowering, case.inputs[0]
    total = accumulate(x, lowering.terms)
    if case.mode is Mode.REFERENCE:
        total = case.accumulator
    operations = [Operation("accumulate", lowering.elements, adder(total))]
    mean = total
    if total.kind is not Kind.FLOAT and case.mode is not Mode.REFERENCE:
        mean = DataType(Kind.FIXED, total.bits, x.int_bits, total.signed)
    types = {"pool_sum_accumulator": total}
    scalings = lowering.extra["scalings"]
    if scalings:
        average = case.owned("average")
        gate, product = multiply(total, average, case.qtools)
        operations.append(Operation("scale", scalings, gate))
        mean = product
        types |= {"average": average, "pool_avg_multiplier": product}
    return finished(case, operations, case.passed(mean), lowering.elements, **types)


def shape_only(case: Case) -> Work:
    """Numbers moved, none computed."""
    return finished(case, [], moved(case, case.inputs[0]), case.lowering.elements)


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


def activation(case: Case) -> Work:
    """A function of every number. QTools prices none."""
    lowering, x = case.lowering, case.inputs[0]
    operations = [] if case.qtools else function(_function_name(case.layer), x, lowering.elements)
    return finished(
        case, operations, case.output(FIXED8 if case.qtools else case.internal), lowering.elements
    )


def in_layer(layer: Layer) -> str | None:
    """The function a layer with a kernel applies to its sums, None if it applies none."""
    name = layer.config.get("activation", "linear")
    if name in (None, "linear") or layer.class_name == "Activation":
        return None
    return name if isinstance(name, str) else "custom"


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
    name = layer.config.get("activation", "linear")
    return name if isinstance(name, str) else "custom"


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


def merge(case: Case) -> Work:
    """Tensors combined number by number: one operation for every input after the first."""
    lowering, name = case.lowering, case.layer.class_name
    gate, result = _merged(case, name)
    over = case.accumulator if case.mode is Mode.REFERENCE else None
    count = (len(case.inputs) - 1) * lowering.elements
    output = case.passed(result)
    if over is not None:
        result, gate = over, case.priced(gate, over)
    operations = [Operation(name.lower(), count, gate)] if gate.factor else []
    if name == "Average" and len(case.inputs) & (len(case.inputs) - 1):
        operations.append(Operation("scale", lowering.extra["outputs"], multiply(result, result)[0]))
    types, gates = {"multiplier": result}, {"multiplier": gate}
    return Work(tuple(operations), (), output, lowering.elements, types, gates)


def _merged(case: Case, name: str) -> tuple[Gate, DataType]:
    types = case.inputs
    if name == "Multiply":
        return merge_multiply(types, case.qtools)
    if name in ("Add", "Subtract"):
        result = merge_subtract(types) if name == "Subtract" else merge_add(types, case.qtools)
        return adder(result), result
    result = merge_same(types, case.qtools)
    return adder(result, {"Average": 1, "Concatenate": 0}.get(name, 0.2)), result
