"""Layers that multiply a kernel in and sum up: dense, convolutions, tables, products of tensors."""

from __future__ import annotations

from costmodel.case import Case, Mode, Operation, Work, adder, finished, moved, products
from costmodel.datatypes import add, widen
from costmodel.elementwise import function, in_layer
from costmodel.layer import elements
from costmodel.lowering import Parameter
from costmodel.work import DataType


def multiply_accumulate(case: Case) -> Work:
    """Dense and convolutions: every product is added to a sum, the bias is added to the sum's type."""
    lowering = case.lowering
    weight, x = case.owned("kernel"), case.inputs[0]
    gate, product, total = products(case, weight, x, lowering.terms)
    types, parameters = {"weight": weight}, list(lowering.parameters)
    biased = any(parameter.slot == "bias" for parameter in parameters)
    bias = case.owned("bias") if biased else None
    if biased and bias is not None:
        folded = case.layer.class_name.endswith("BatchNormalization")
        if folded and case.mode is Mode.QUANTIZED and case.slots.get("bias") is None:
            bias, total = total, widen(total)
        else:
            total = add(total, bias, case.qtools)
        types["bias"] = bias
    over = case.overwritten
    product, total = over or product, over or total
    gate = case.priced(gate, over)
    operations = (
        Operation("multiply", lowering.macs, gate),
        Operation("accumulate", lowering.macs, adder(total)),
        *_applied(case, total),
    )
    read = tuple(
        (_read(case, p), types["weight"] if p.slot == "kernel" else types["bias"]) for p in parameters
    )
    types |= {"multiplier": product, "accumulator": total}
    gates = {"multiplier": gate, "accumulator": adder(total)}
    return Work(operations, read, case.output(total), lowering.macs, types, gates)


def _applied(case: Case, total: DataType) -> list[Operation]:
    """The function inside the layer, priced as the Activation layer it stands for; QTools prices none."""
    name = in_layer(case.layer)
    return [] if name is None or case.qtools else function(name, total, elements(case.layer.output_shape))


def _read(case: Case, parameter: Parameter) -> Parameter:
    """QTools takes the depth multiplier for the length of a depthwise layer's bias."""
    wrong = case.qtools and parameter.slot == "bias" and "depth_multiplier" in case.lowering.extra
    return Parameter("bias", case.lowering.extra["depth_multiplier"]) if wrong else parameter


def separable(case: Case) -> Work:
    """A depthwise convolution whose sums a pointwise one takes."""
    lowering, extra = case.lowering, case.lowering.extra
    depthwise, pointwise = case.owned("kernel", "depthwise_kernel"), case.owned("pointwise_kernel", "kernel")
    gate1, product1, middle = products(case, depthwise, case.inputs[0], lowering.terms)
    gate2, product2, total = products(case, pointwise, middle, extra["pointwise_terms"])
    types = {"weight": depthwise, "pointwise_weight": pointwise, "multiplier": product1, "middle": middle}
    if any(parameter.slot == "bias" for parameter in lowering.parameters):
        types["bias"] = case.owned("bias")
        total = add(total, types["bias"])
    total = case.overwritten or total
    operations = (
        Operation("depthwise multiply", extra["depthwise_macs"], gate1),
        Operation("depthwise accumulate", extra["depthwise_macs"], adder(middle)),
        Operation("pointwise multiply", extra["pointwise_macs"], gate2),
        Operation("pointwise accumulate", extra["pointwise_macs"], adder(total)),
        *_applied(case, total),
    )
    owned = {"kernel": depthwise, "pointwise_kernel": pointwise, "bias": types.get("bias", depthwise)}
    read = tuple((parameter, owned[parameter.slot]) for parameter in lowering.parameters)
    types |= {"pointwise_multiplier": product2, "accumulator": total}
    return Work(operations, read, case.output(total), lowering.macs, types, {"multiplier": gate1})


def embedding(case: Case) -> Work:
    """Rows read out of a table; no arithmetic."""
    table = case.owned("embeddings", "kernel")
    return Work(
        (),
        ((case.lowering.parameters[0], table),),
        moved(case, table),
        case.lowering.elements,
        {"weight": table},
    )


def dot(case: Case) -> Work:
    """Products of two tensors, summed along an axis."""
    lowering = case.lowering
    gate, product, total = products(case, case.inputs[0], case.inputs[1], lowering.terms)
    if case.mode is Mode.REFERENCE:
        total = case.accumulator
    operations = [
        Operation("multiply", lowering.macs, gate),
        Operation("accumulate", lowering.macs, adder(total)),
    ]
    return finished(
        case, operations, case.passed(total), lowering.macs, multiplier=product, accumulator=total
    )
