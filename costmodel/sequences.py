"""Layers over sequences: recurrent ones and attention."""

from __future__ import annotations

from costmodel.case import Case, Mode, Operation, Work, adder, finished, products
from costmodel.datatypes import add, multiply
from costmodel.elementwise import look_up, softmax
from costmodel.work import DataType


def recurrent(case: Case) -> Work:
    """Products with the input and with the state at every step, elementwise gates, the state read and written."""
    lowering, extra = case.lowering, case.lowering.extra
    state = _state(case)
    gate1, product1, sum1 = products(case, case.owned("kernel"), case.inputs[0], lowering.terms)
    gate2, product2, sum2 = products(case, case.owned("recurrent_kernel"), state, extra["recurrent_terms"])
    total = add(sum1, sum2)
    if any(parameter.slot == "bias" for parameter in lowering.parameters):
        total = add(total, case.owned("bias"))
    total = case.overwritten or total
    elementwise, _ = multiply(state, state)
    operations = [
        Operation("input multiply", extra["input_macs"], gate1),
        Operation("input accumulate", extra["input_macs"], adder(sum1)),
        Operation("recurrent multiply", extra["recurrent_macs"], gate2),
        Operation("recurrent accumulate", extra["recurrent_macs"], adder(sum2)),
        Operation("elementwise multiply", extra["products"], elementwise),
        Operation("elementwise add", extra["sums"], adder(total)),
        *look_up(total, extra["functions"]),
    ]
    types = {"multiplier": product1, "recurrent_multiplier": product2, "accumulator": total, "state": state}
    return finished(case, operations, state, lowering.macs, **types)


def _state(case: Case) -> DataType:
    """The type of a recurrent layer's state: its slot's, else its activation's, else the reference's."""
    if case.mode is Mode.QUANTIZED:
        for slot in ("state", "activation"):
            found = case.slots.get(slot)
            if found is not None:
                return case.take(found)
    return case.internal


def attention(case: Case) -> Work:
    """Four projections, scores, softmax and context of every head."""
    extra = case.lowering.extra
    given = {
        "query": case.inputs[0],
        "value": case.inputs[1],
        "key": case.inputs[min(2, len(case.inputs) - 1)],
    }
    operations: list[Operation] = []
    inner: dict[str, DataType] = {}
    for name, x in given.items():
        total = _projection(case, name, x, operations)
        inner[name] = _inner(case, name, total)
    score_gate, _, scores = products(case, inner["key"], inner["query"], extra["head_width"])
    operations += [
        Operation("scores multiply", extra["scores_macs"], score_gate),
        Operation("scores accumulate", extra["scores_macs"], adder(scores)),
        *softmax(scores, extra["softmax"]),
    ]
    shares = _inner(case, "scores", case.internal)
    context_gate, _, context = products(case, inner["value"], shares, extra["positions"])
    operations += [
        Operation("context multiply", extra["context_macs"], context_gate),
        Operation("context accumulate", extra["context_macs"], adder(context)),
    ]
    total = _projection(case, "output", _inner(case, "context", context), operations)
    read = tuple((p, _attention_type(case, p.slot)) for p in case.lowering.parameters)
    types = {**inner, "accumulator": total}
    return Work(tuple(operations), read, case.output(total), case.lowering.macs, types)


def _attention_type(case: Case, slot: str) -> DataType:
    return case.owned(slot, "bias" if slot.endswith("bias") else "kernel")


def _projection(case: Case, name: str, x: DataType, operations: list[Operation]) -> DataType:
    extra = case.lowering.extra
    weight = _attention_type(case, f"{name}_kernel")
    gate, _, total = products(case, weight, x, extra[f"{name}_terms"])
    if any(parameter.slot == f"{name}_bias" for parameter in case.lowering.parameters):
        total = add(total, _attention_type(case, f"{name}_bias"))
    total = case.overwritten or total
    operations += [
        Operation(f"{name} multiply", extra[f"{name}_macs"], gate),
        Operation(f"{name} accumulate", extra[f"{name}_macs"], adder(total)),
    ]
    return total


def _inner(case: Case, name: str, computed: DataType) -> DataType:
    """The type of a tensor inside attention: its slot's, else the activation's, else as computed."""
    if case.mode is not Mode.QUANTIZED:
        return case.internal
    for slot in (name, "activation"):
        found = case.slots.get(slot)
        if found is not None:
            return case.take(found)
    return computed
