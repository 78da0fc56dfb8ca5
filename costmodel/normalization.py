"""Batch and layer normalization."""

from __future__ import annotations

from collections.abc import Mapping

from costmodel.case import Case, Mode, Operation, Work, adder, finished
from costmodel.datatypes import FIXED8, Gate, accumulate, add, deviation, divide, multiply
from costmodel.errors import InvalidTypes
from costmodel.lowering import Parameter
from costmodel.work import DataType


def batch_norm(case: Case) -> Work:
    """gamma / deviation * x + beta, with the types QTools gives each step."""
    lowering, x, qtools = case.lowering, case.inputs[0], case.qtools
    scale, center = bool(lowering.extra["scale"]), bool(lowering.extra["center"])
    types = {slot: _norm_type(case, slot) for slot in ("gamma", "beta", "mean", "variance")}
    gates: dict[str, Gate] = {}
    try:
        gates["divider"], quotient = divide(
            types["gamma"] if scale else x, deviation(types["variance"]), qtools
        )
    except ValueError as error:
        raise InvalidTypes(case.layer.name, f"variance: {error}") from error
    types["divider"] = result = quotient
    if scale:
        gates["multiplier"], result = multiply(quotient, x, qtools)
        types["multiplier"] = result
    if center:
        types["accumulator"] = result = add(result, types["beta"], qtools)
        gates["accumulator"] = adder(result)
    over = case.overwritten
    if over is not None:
        types |= dict.fromkeys(gates, over)
        gates = {name: case.priced(gate, over) for name, gate in gates.items()}
        result = over
    operations = [Operation(label, lowering.elements, gate) for label, gate in _norm_steps(case, gates)]
    parameters = lowering.parameters
    if qtools:  # QTools also reads the gamma and beta a layer does not have
        parameters = tuple(
            Parameter(slot, lowering.extra["size"]) for slot in ("gamma", "beta", "mean", "variance")
        )
    read = tuple((parameter, types[parameter.slot]) for parameter in parameters)
    return Work(tuple(operations), read, case.output(result), lowering.elements, types, gates)


def _norm_type(case: Case, slot: str) -> DataType:
    """QTools gives a beta or mean without a quantizer the input's type, and forgets a gamma that is not there."""
    if not case.qtools or case.mode is not Mode.QUANTIZED:
        return case.owned(slot)
    if slot == "gamma" and not case.lowering.extra["scale"]:
        return FIXED8
    absent = case.slots.get(slot) is None
    return case.inputs[0] if absent and slot in ("beta", "mean") else case.owned(slot)


def _norm_steps(case: Case, gates: Mapping[str, Gate]) -> list[tuple[str, Gate]]:
    """QTools divides for every number and forgets the addition; gamma/deviation is known before the first input."""
    if case.qtools:
        return [(name, gates[name]) for name in ("divider", "multiplier") if name in gates]
    scaled = gates.get("multiplier", gates["divider"])
    return [("scale", scaled), *([("shift", gates["accumulator"])] if "accumulator" in gates else [])]


def layer_norm(case: Case) -> Work:
    """Mean and variance of each row, then scale and shift; a reciprocal root is priced as a multiplication."""
    lowering, x = case.lowering, case.inputs[0]
    total, rows = lowering.elements, lowering.extra["rows"]
    square, squared = multiply(x, x)
    summed, variance = accumulate(x, lowering.terms), accumulate(squared, lowering.terms)
    scaled = case.output(case.internal)
    by_scale, _ = multiply(x, scaled)
    operations = [
        Operation("sum", total, adder(summed)),
        Operation("subtract mean", total, adder(x)),
        Operation("square", total, square),
        Operation("sum squares", total, adder(variance)),
        Operation("reciprocal root", rows, multiply(variance, variance)[0]),
        Operation("normalize", total, by_scale),
    ]
    if lowering.extra["scale"]:
        operations.append(Operation("scale", total, multiply(case.owned("gamma"), scaled)[0]))
    if lowering.extra["center"]:
        operations.append(Operation("shift", total, adder(add(scaled, case.owned("beta")))))
    return finished(case, operations, scaled, total, variance=variance)
