"""Layers of sums as ONNX nodes: dense and convolution layers, normalizations, poolings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from keras import ops

from quantization.export.context import Floats
from quantization.export.writers.onnx_graph.functions import NotInOnnx
from quantization.export.writers.onnx_graph.graph import Codes, OnnxGraph, Tensor
from quantization.export.writers.onnx_graph.moves import Builder, reshaped, shape_of
from quantization.export.writers.reading import (
    affine,
    coded,
    each,
    float_value,
    has_bias,
    paddings,
    specs_of,
)
from quantization.graph import Call

# ---- weights ---------------------------------------------------------------------------------------------------------


def weight_of(
    graph: OnnxGraph, call: Call, slot: str, laid: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> str:
    """A weight as a constant; `laid` puts the axes of codes and of scales in ONNX' order."""
    layer = call.layer
    label = f"{call.name}/{slot}"
    spec = specs_of(layer).get(slot)
    if spec is None:
        return graph.constant(label, laid(float_value(layer, slot)))
    codes, scales = coded(layer, slot)
    if scales.ndim:  # laid as the codes are; axes along which it is one stay one
        scales = _along_axes(laid(np.broadcast_to(scales, codes.shape)))
    return graph.weight(label, laid(codes), scales, int(spec.bits), bool(spec.signed))


def _along_axes(scales: Floats) -> Floats:
    """Scales of full shape with each axis of equal ones as one."""
    for axis in range(scales.ndim):
        first = scales.take([0], axis=axis)
        if np.array_equal(np.broadcast_to(first, scales.shape), scales):
            scales = first
    return np.ascontiguousarray(scales, np.float32)


# ---- products --------------------------------------------------------------------------------------------------------


def dense(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
    """A product of matrices, and a bias."""
    x = graph.laid(inputs[0], channels_first=False)
    y = graph.add("MatMul", call.name, [x.name, weight_of(graph, call, "kernel")])
    if has_bias(call.layer):
        y = graph.add("Add", call.name, [y, weight_of(graph, call, "bias")])
    return Tensor(y, shape_of(call))


def _filters_first(kernel: np.ndarray) -> np.ndarray:
    """(window..., inputs, outputs) -> (outputs, inputs, window...)."""
    return np.moveaxis(kernel, (-1, -2), (0, 1))


def _channels_as_filters(kernel: np.ndarray) -> np.ndarray:
    """(window..., channels, multiplier) -> (channels * multiplier, 1, window...)."""
    flat = kernel.reshape(*kernel.shape[:-2], 1, -1)
    return _filters_first(flat)


def _conv(
    graph: OnnxGraph, call: Call, x: Tensor, kernel: str, size: Sequence[int], bias: bool, **attributes: Any
) -> Tensor:
    layer = call.layer
    strides, rates = each(layer.strides, size), each(layer.dilation_rate, size)
    attributes |= {"kernel_shape": list(size), "strides": list(strides), "dilations": list(rates)}
    attributes |= _padding(layer.padding, x, size, strides, rates)
    parts = [x.name, kernel, *([weight_of(graph, call, "bias")] if bias else [])]
    return Tensor(graph.add("Conv", call.name, parts, **attributes), shape_of(call), channels_first=True)


def _padding(
    padding: str, x: Tensor, size: Sequence[int], strides: Sequence[int], rates: Sequence[int]
) -> dict[str, Any]:
    """Zeros around a convolution's or pooling's input, as an attribute."""
    pads = paddings(padding, x.shape[1:-1], size, strides, rates)
    if pads is None:
        return {"auto_pad": "SAME_UPPER"}
    if not any(map(any, pads)):
        return {}
    return {"pads": [low for low, _ in pads] + [high for _, high in pads]}


def convolution(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
    """A convolution, grouped or not."""
    layer = call.layer
    x = graph.laid(inputs[0], channels_first=True)
    kernel = weight_of(graph, call, "kernel", _filters_first)
    groups = {"group": int(layer.groups)} if layer.groups != 1 else {}
    return _conv(graph, call, x, kernel, layer.kernel_size, has_bias(layer), **groups)


def depthwise(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
    """A depthwise convolution: one group a channel."""
    return _depthwise_part(graph, call, inputs, has_bias(call.layer))


def _depthwise_part(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor], bias: bool) -> Tensor:
    x = graph.laid(inputs[0], channels_first=True)
    kernel = weight_of(graph, call, "kernel", _channels_as_filters)
    return _conv(graph, call, x, kernel, call.layer.kernel_size, bias, group=int(x.shape[-1] or 1))


def separable(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
    """A depthwise convolution, and one of a single place."""
    between = _depthwise_part(graph, call, inputs, bias=False)
    kernel = weight_of(graph, call, "pointwise_kernel", _filters_first)
    parts = [between.name, kernel, *([weight_of(graph, call, "bias")] if has_bias(call.layer) else [])]
    return replace(between, name=graph.add("Conv", call.name, parts))


# ---- normalization ---------------------------------------------------------------------------------------------------


def normalization(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
    """As Keras computes it: quantized constants where they are quantized, else one factor and one offset a channel."""
    layer, x = call.layer, inputs[0]
    axis = layer.axis[0] if isinstance(layer.axis, list | tuple) else layer.axis
    place = x.axis(axis)

    def along(value: np.ndarray) -> np.ndarray:
        shape = [1] * x.rank
        shape[place] = -1
        return value.reshape(shape[1:]) if x.rank > 1 else value

    def constant(slot: str) -> str:
        return weight_of(graph, call, slot, along)

    specs = set(specs_of(layer)) - {"activation"}
    if not specs:
        factor, offset = (along(value) for value in affine(layer))
        y = graph.add("Mul", call.name, [x.name, graph.constant(f"{call.name}/factor", factor)])
        return replace(
            x, name=graph.add("Add", call.name, [y, graph.constant(f"{call.name}/offset", offset)])
        )
    if "inverse" not in specs:
        raise NotInOnnx(
            call.name, "quantize inverse in place of gamma and variance, or fold the normalization"
        )
    y = graph.add("Sub", call.name, [x.name, constant("mean")])
    y = graph.add("Mul", call.name, [y, constant("inverse")])
    return replace(x, name=graph.add("Add", call.name, [y, constant("beta")]) if layer.center else y)


# ---- pooling ---------------------------------------------------------------------------------------------------------


def pooling(op_type: str, **attributes: Any) -> Builder:
    """What writes a pooling by this operator."""

    def write(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
        layer = call.layer
        x = graph.laid(inputs[0], channels_first=True)
        rank = x.rank - 2
        size = each(layer.pool_size, (1,) * rank)
        strides = each(layer.strides, size)
        more: dict[str, Any] = {"kernel_shape": list(size), "strides": list(strides)}
        pads = _padding(layer.padding, x, size, strides, (1,) * rank)
        y = graph.add(op_type, call.name, [x.name], **attributes, **more, **pads)
        if op_type == "AveragePool":
            graph.note(y, _mean(graph, call, x, 0 if pads else math.prod(size)))
        y = _by_factor(graph, call, y, math.prod(size)) if op_type == "AveragePool" else y
        return Tensor(y, shape_of(call), channels_first=True)

    return write


def global_pooling(op_type: str) -> Builder:
    """What writes a pooling of all places by this operator."""

    def write(graph: OnnxGraph, call: Call, inputs: Sequence[Tensor]) -> Tensor:
        x = graph.laid(inputs[0], channels_first=True)
        y = graph.add(op_type, call.name, [x.name])
        if op_type == "GlobalAveragePool":
            graph.note(y, _mean(graph, call, x, math.prod(size or 0 for size in x.shape[1:-1])))
        if op_type == "GlobalAveragePool" and _factor_spec(call) is not None:
            y = _by_factor(graph, call, y, math.prod(size or 1 for size in x.shape[1:-1]))
        if call.layer.keepdims:
            return Tensor(y, shape_of(call), channels_first=True)
        return Tensor(
            reshaped(graph, call, y, (int(x.shape[-1] or -1),)), shape_of(call), channels_first=False
        )

    return write


def _mean(graph: OnnxGraph, call: Call, x: Tensor, count: int) -> Codes | None:
    """What is known of means of `count` numbers, 0: not always as many. Of a power of two: a sum on a finer grid."""
    codes = graph.codes(x.name)
    if codes is None or count.bit_count() != 1 or _factor_spec(call) is not None:
        return None
    return Codes(codes.step / count, codes.low * count, codes.high * count)


def _factor_spec(call: Call) -> Any:
    return specs_of(call.layer).get("average")


def _by_factor(graph: OnnxGraph, call: Call, average: str, count: int) -> str:
    """An average by its quantized factor in place of 1 / count, as the layer computes it."""
    if _factor_spec(call) is None:
        return average
    factor = np.asarray(
        ops.convert_to_numpy(call.layer.quantizer("average")(np.float32(1.0 / count))), np.float32
    )
    return graph.scaled(call.name, average, float(np.float32(factor * np.float32(count))))
