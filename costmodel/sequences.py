"""Layers over sequences: recurrent ones and attention."""

from __future__ import annotations

from typing import Final

from costmodel.data_type import DataType
from costmodel.elementwise import function, function_name, softmax
from costmodel.gates import LogicGate
from costmodel.layer_classes import unwrapped
from costmodel.propagation import add, multiply
from costmodel.typed_layer import LayerWork, Mode, Operation, TypedLayer, adder, layer_work, products

#: Slots of a recurrent layer's functions: Keras' default, and what counts them.
_FUNCTIONS: Final = (
    ("activation", "tanh", "functions"),
    ("recurrent_activation", "sigmoid", "gate_functions"),
)


def recurrent(typed: TypedLayer) -> LayerWork:
    """Products with the input and with the state at every step, elementwise gates, the state read and written."""
    lowering, extra = typed.lowering, typed.lowering.extra
    state = _state(typed)
    gate1, product1, sum1 = products(typed, typed.parameter_type("kernel"), typed.inputs[0], lowering.terms)
    gate2, product2, sum2 = products(
        typed, typed.parameter_type("recurrent_kernel"), state, extra["recurrent_terms"]
    )
    total = typed.computed(add(sum1, sum2))
    if any(parameter.slot == "bias" for parameter in lowering.parameters):
        total = typed.computed(add(total, typed.parameter_type("bias")))
    total = typed.overwritten or total
    elementwise, _ = multiply(state, state)
    operations = [
        Operation("input multiply", extra["input_macs"], gate1),
        Operation("input accumulate", extra["input_macs"], adder(sum1)),
        Operation("recurrent multiply", extra["recurrent_macs"], gate2),
        Operation("recurrent accumulate", extra["recurrent_macs"], adder(sum2)),
        Operation("elementwise multiply", extra["products"], elementwise),
        Operation("elementwise add", extra["sums"], adder(total)),
        *_functions(typed, total),
    ]
    types = {"multiplier": product1, "recurrent_multiplier": product2, "accumulator": total, "state": state}
    return layer_work(typed, operations, state, lowering.macs, **types)


def _functions(typed: TypedLayer, total: DataType) -> list[Operation]:
    """What the functions of all steps take: those of the values, then those of the gates."""
    _, config = unwrapped(typed.layer.class_name, typed.layer.config)
    counts: dict[tuple[str, LogicGate], int] = {}
    for slot, usual, counted in _FUNCTIONS:
        name = typed.function(function_name(config.get(slot, usual)), slot)
        for operation in [] if name == "linear" else function(name, total, typed.lowering.extra[counted]):
            key = (operation.label, operation.gate)
            counts[key] = counts.get(key, 0) + operation.count
    return [Operation(label, count, gate) for (label, gate), count in counts.items() if count]


def _state(typed: TypedLayer) -> DataType:
    """The type of a recurrent layer's state: its slot's, else its activation's, else the reference's."""
    if typed.mode is Mode.QUANTIZED:
        for slot in ("state", "activation"):
            data_type = typed.slots.get(slot)
            if data_type is not None:
                return typed.as_counted(data_type)
    return typed.internal


def attention(typed: TypedLayer) -> LayerWork:
    """Four projections, scores, softmax and context of every head."""
    extra = typed.lowering.extra
    inputs = {
        "query": typed.inputs[0],
        "value": typed.inputs[1],
        "key": typed.inputs[min(2, len(typed.inputs) - 1)],
    }
    operations: list[Operation] = []
    inner: dict[str, DataType] = {}
    for name, x in inputs.items():
        total = _projection(typed, name, x, operations)
        inner[name] = _inner(typed, name, total)
    score_gate, _, scores = products(typed, inner["key"], inner["query"], extra["head_width"])
    operations += [
        Operation("scores multiply", extra["scores_macs"], score_gate),
        Operation("scores accumulate", extra["scores_macs"], adder(scores)),
        *softmax(scores, extra["softmax"]),
    ]
    shares = _inner(typed, "scores", typed.internal)
    context_gate, _, context = products(typed, inner["value"], shares, extra["positions"])
    operations += [
        Operation("context multiply", extra["context_macs"], context_gate),
        Operation("context accumulate", extra["context_macs"], adder(context)),
    ]
    total = _projection(typed, "output", _inner(typed, "context", context), operations)
    read = tuple((p, _attention_type(typed, p.slot)) for p in typed.lowering.parameters)
    types = {**inner, "accumulator": total}
    return LayerWork(tuple(operations), read, typed.output(total), typed.lowering.macs, types)


def _attention_type(typed: TypedLayer, slot: str) -> DataType:
    return typed.parameter_type(slot, "bias" if slot.endswith("bias") else "kernel")


def _projection(typed: TypedLayer, name: str, x: DataType, operations: list[Operation]) -> DataType:
    extra = typed.lowering.extra
    weight = _attention_type(typed, f"{name}_kernel")
    gate, _, total = products(typed, weight, x, extra[f"{name}_terms"])
    if any(parameter.slot == f"{name}_bias" for parameter in typed.lowering.parameters):
        total = typed.computed(add(total, _attention_type(typed, f"{name}_bias")))
    total = typed.overwritten or total
    operations += [
        Operation(f"{name} multiply", extra[f"{name}_macs"], gate),
        Operation(f"{name} accumulate", extra[f"{name}_macs"], adder(total)),
    ]
    return total


def _inner(typed: TypedLayer, name: str, computed: DataType) -> DataType:
    """The type of a tensor inside attention: its slot's, else the activation's, else as computed."""
    if typed.mode is not Mode.QUANTIZED:
        return typed.internal
    for slot in (name, "activation"):
        data_type = typed.slots.get(slot)
        if data_type is not None:
            return typed.as_counted(data_type)
    return computed
