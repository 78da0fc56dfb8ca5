"""Batch and layer normalization."""

from __future__ import annotations

from collections.abc import Mapping

from costmodel.data_type import DataType
from costmodel.errors import InvalidTypes
from costmodel.gates import LogicGate
from costmodel.lowering import Parameter, stored_parameters
from costmodel.powers_of_two import deviation
from costmodel.propagation import FIXED8, accumulate, add, divide, multiply
from costmodel.typed_layer import LayerWork, Mode, Operation, TypedLayer, adder, layer_work


def batch_norm(typed: TypedLayer) -> LayerWork:
    """gamma / deviation * x + beta, with the types QTools gives each step."""
    if typed.mode is Mode.QUANTIZED and not typed.qtools and typed.slots.get("inverse") is not None:
        return _by_inverse(typed)
    lowering, x, qtools = typed.lowering, typed.inputs[0], typed.qtools
    scale, center = bool(lowering.extra["scale"]), bool(lowering.extra["center"])
    types = {slot: _norm_type(typed, slot) for slot in ("gamma", "beta", "mean", "variance")}
    gates: dict[str, LogicGate] = {}
    try:
        gates["divider"], quotient = divide(
            types["gamma"] if scale else x, deviation(types["variance"]), qtools
        )
    except ValueError as error:
        raise InvalidTypes(typed.layer.name, f"variance: {error}") from error
    types["divider"] = result = quotient = typed.computed(quotient)
    if scale:
        gates["multiplier"], result = multiply(quotient, x, qtools)
        types["multiplier"] = result = typed.computed(result)
    if center:
        types["accumulator"] = result = typed.computed(add(result, types["beta"], qtools))
        gates["accumulator"] = adder(result)
    over = typed.overwritten
    if over is not None:
        types |= dict.fromkeys(gates, over)
        gates = {name: typed.priced_gate(gate, over) for name, gate in gates.items()}
        result = over
    operations = [Operation(label, lowering.elements, gate) for label, gate in _norm_steps(typed, gates)]
    parameters = lowering.parameters
    if qtools:  # QTools also reads the gamma and beta a layer does not have
        parameters = tuple(
            Parameter(slot, lowering.extra["size"]) for slot in ("gamma", "beta", "mean", "variance")
        )
    read = tuple((parameter, types[parameter.slot]) for parameter in parameters)
    return LayerWork(tuple(operations), read, typed.output(result), lowering.elements, types, gates)


def _by_inverse(typed: TypedLayer) -> LayerWork:
    """(x - mean) * inverse + beta, as x * inverse plus a number that is known before the first input."""
    lowering, x = typed.lowering, typed.inputs[0]
    parameters = stored_parameters(lowering, ("inverse",))
    types = {parameter.slot: typed.parameter_type(parameter.slot) for parameter in parameters}
    read = tuple((parameter, types[parameter.slot]) for parameter in parameters)
    gate, scaled = multiply(types["inverse"], x)
    _, shift = multiply(types["inverse"], types["mean"])
    if "beta" in types:
        shift = add(shift, types["beta"])
    total = typed.computed(add(scaled, shift))
    gates = {"multiplier": gate, "accumulator": adder(total)}
    operations = (
        Operation("scale", lowering.elements, gate),
        Operation("shift", lowering.elements, adder(total)),
    )
    types |= {"multiplier": scaled, "accumulator": total}
    return LayerWork(operations, read, typed.output(total), lowering.elements, types, gates)


def _norm_type(typed: TypedLayer, slot: str) -> DataType:
    """QTools gives a beta or mean without a quantizer the input's type, and forgets a gamma that is not there."""
    if not typed.qtools or typed.mode is not Mode.QUANTIZED:
        return typed.parameter_type(slot)
    if slot == "gamma" and not typed.lowering.extra["scale"]:
        return FIXED8
    absent = typed.slots.get(slot) is None
    return typed.inputs[0] if absent and slot in ("beta", "mean") else typed.parameter_type(slot)


def _norm_steps(typed: TypedLayer, gates: Mapping[str, LogicGate]) -> list[tuple[str, LogicGate]]:
    """QTools divides for every number and forgets the addition; gamma/deviation is known before the first input."""
    if typed.qtools:
        return [(name, gates[name]) for name in ("divider", "multiplier") if name in gates]
    scaled = gates.get("multiplier", gates["divider"])
    return [("scale", scaled), *([("shift", gates["accumulator"])] if "accumulator" in gates else [])]


def layer_norm(typed: TypedLayer) -> LayerWork:
    """Mean and variance of each row, then scale and shift; a reciprocal root is priced as a multiplication.

    `around_zero`: without a mean.
    """
    lowering, x = typed.lowering, typed.inputs[0]
    total, rows = lowering.elements, lowering.extra["rows"]
    square, squared = multiply(x, x)
    summed, variance = (typed.computed(accumulate(t, lowering.terms)) for t in (x, squared))
    scaled = typed.output(typed.internal)
    by_scale, _ = multiply(x, scaled)
    centered = [Operation("sum", total, adder(summed)), Operation("subtract mean", total, adder(x))]
    operations = [
        *([] if lowering.extra.get("around_zero") else centered),
        Operation("square", total, square),
        Operation("sum squares", total, adder(variance)),
        Operation("reciprocal root", rows, multiply(variance, variance)[0]),
        Operation("normalize", total, by_scale),
    ]
    if lowering.extra["scale"]:
        operations.append(Operation("scale", total, multiply(typed.parameter_type("gamma"), scaled)[0]))
    if lowering.extra["center"]:
        operations.append(Operation("shift", total, adder(add(scaled, typed.parameter_type("beta")))))
    return layer_work(typed, operations, scaled, total, variance=variance)
