"""Layers that multiply a kernel in and sum up: dense, convolutions, tables, products of tensors."""

from __future__ import annotations

from costmodel.data_type import DataType, NumberFormat
from costmodel.elementwise import function, handed_on, in_layer
from costmodel.foldable import UNFOLDED
from costmodel.gates import LogicGate
from costmodel.layer import elements
from costmodel.lowering import Parameter
from costmodel.propagation import add, widen
from costmodel.typed_layer import (
    LayerWork,
    Mode,
    Operation,
    TypedLayer,
    adder,
    layer_work,
    moved_type,
    products,
)


def multiply_accumulate(typed: TypedLayer) -> LayerWork:
    """Dense and convolutions: every product is added to a sum, the bias is added to the sum's type."""
    lowering = typed.lowering
    weight, x = typed.parameter_type("kernel"), typed.inputs[0]
    gate, product, total = products(typed, weight.whole, x, lowering.terms)
    types, parameters = {"weight": weight}, list(lowering.parameters)
    biased = any(parameter.slot == "bias" for parameter in parameters)
    bias = typed.parameter_type("bias") if biased else None
    if biased and bias is not None:
        if _has_bias_of_sums(typed):
            bias, total = total, typed.computed(widen(total))
        else:
            total = typed.computed(add(total, bias.whole, typed.qtools))
        types["bias"] = bias
    over = typed.overwritten
    product, total = over or product, over or total
    gate = typed.priced_gate(gate, over)
    operations = (*_macs(typed, weight, gate, total), *_applied(typed, total))
    read = tuple(
        (_read(typed, p), types["weight"] if p.slot == "kernel" else types["bias"]) for p in parameters
    )
    types |= {"multiplier": product, "accumulator": total}
    gates = {"multiplier": gate, "accumulator": adder(total)}
    return LayerWork(operations, read, handed_on(typed, total), lowering.macs, types, gates)


def _macs(typed: TypedLayer, weight: DataType, gate: LogicGate, total: DataType) -> list[Operation]:
    """Every product, by the width of its channel's weights, and its addition; a channel of zeros has none.

    `gate`: of a weight of `weight`; all sums have the type `total`.
    """
    parts = weight.parts(typed.lowering.macs)
    multiply = [
        Operation(
            "multiply", macs, products(typed, part, typed.inputs[0], 1)[0] if weight.channel_bits else gate
        )
        for macs, part in parts
    ]
    return [*multiply, Operation("accumulate", sum(macs for macs, _ in parts), adder(total))]


def _has_bias_of_sums(typed: TypedLayer) -> bool:
    """Whether a folded bias without a quantizer has the type of the sums, as in QTools: unless it counts as float."""
    floats = typed.internal.format is NumberFormat.FLOAT and not typed.qtools
    folded = typed.layer.class_name in UNFOLDED and not floats
    return folded and typed.mode is Mode.QUANTIZED and typed.slots.get("bias") is None


def _applied(typed: TypedLayer, total: DataType) -> list[Operation]:
    """The function inside the layer, priced as the Activation layer it stands for; QTools prices none."""
    name = typed.function(in_layer(typed.layer) or "linear")
    unpriced = name == "linear" or typed.qtools
    return [] if unpriced else function(name, total, elements(typed.layer.output_shape))


def _read(typed: TypedLayer, parameter: Parameter) -> Parameter:
    """QTools takes the depth multiplier for the length of a depthwise layer's bias."""
    wrong = typed.qtools and parameter.slot == "bias" and "depth_multiplier" in typed.lowering.extra
    return Parameter("bias", typed.lowering.extra["depth_multiplier"]) if wrong else parameter


def separable(typed: TypedLayer) -> LayerWork:
    """A depthwise convolution whose sums a pointwise one takes."""
    lowering, extra = typed.lowering, typed.lowering.extra
    depthwise = typed.parameter_type("kernel", "depthwise_kernel")
    pointwise = typed.parameter_type("pointwise_kernel", "kernel")
    gate1, product1, middle = products(typed, depthwise, typed.inputs[0], lowering.terms)
    gate2, product2, total = products(typed, pointwise, middle, extra["pointwise_terms"])
    types = {"weight": depthwise, "pointwise_weight": pointwise, "multiplier": product1, "middle": middle}
    if any(parameter.slot == "bias" for parameter in lowering.parameters):
        if _has_bias_of_sums(typed):
            types["bias"], total = total, typed.computed(widen(total))
        else:
            types["bias"] = typed.parameter_type("bias")
            total = typed.computed(add(total, types["bias"]))
    total = typed.overwritten or total
    operations = (
        Operation("depthwise multiply", extra["depthwise_macs"], gate1),
        Operation("depthwise accumulate", extra["depthwise_macs"], adder(middle)),
        Operation("pointwise multiply", extra["pointwise_macs"], gate2),
        Operation("pointwise accumulate", extra["pointwise_macs"], adder(total)),
        *_applied(typed, total),
    )
    owned = {"kernel": depthwise, "pointwise_kernel": pointwise, "bias": types.get("bias", depthwise)}
    read = tuple((parameter, owned[parameter.slot]) for parameter in lowering.parameters)
    types |= {"pointwise_multiplier": product2, "accumulator": total}
    return LayerWork(operations, read, handed_on(typed, total), lowering.macs, types, {"multiplier": gate1})


def embedding(typed: TypedLayer) -> LayerWork:
    """Rows read out of a table; no arithmetic."""
    table = typed.parameter_type("embeddings", "kernel")
    return LayerWork(
        (),
        ((typed.lowering.parameters[0], table),),
        moved_type(typed, table),
        typed.lowering.elements,
        {"weight": table},
    )


def dot(typed: TypedLayer) -> LayerWork:
    """Products of two tensors, summed along an axis."""
    lowering = typed.lowering
    gate, product, total = products(typed, typed.inputs[0], typed.inputs[1], lowering.terms)
    if typed.mode is Mode.REFERENCE:
        total = typed.accumulator
    operations = [
        Operation("multiply", lowering.macs, gate),
        Operation("accumulate", lowering.macs, adder(total)),
    ]
    return layer_work(
        typed,
        operations,
        typed.parameterless_output(total),
        lowering.macs,
        multiplier=product,
        accumulator=total,
    )
