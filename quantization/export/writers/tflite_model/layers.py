"""Layers as LiteRT operators of 8-bit integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from costmodel.layer_classes import INPUT, TRAINING_ONLY
from quantization.export.writers.reading import class_of, coded, each, float_value, has_bias, pairs, specs_of
from quantization.export.writers.tflite_model.flatbuffer import HIGHEST, LOWEST, Grid, LiteModel, Value
from quantization.graph import Call
from quantization.quantizers import build_quantizer

_ROUNDED_BIAS: Final = (
    "its bias is rounded to the grid of its sums; give it no more fraction bits than they have"
)

_TIES: Final = "a sum in the middle between two codes is rounded up, where the model rounds to even"


@dataclass
class Writing:
    """The model while it is written: `grids`, of every call's output, and why layers differ from the model."""

    model: LiteModel
    grids: Mapping[str, Grid]
    packs: bool = True
    inexact: dict[str, str] = field(default_factory=dict)

    def differs(self, name: str, reason: str) -> None:
        """Say why the numbers of a layer are not the model's."""
        before = self.inexact.get(name)
        self.inexact[name] = reason if before is None else f"{before}; {reason}"


_ROOM: Final = 1.25

Builder = Callable[[Writing, Call, Sequence[Value]], Value]


def grid_of(spec: Any) -> Grid:
    """The 8-bit grid of an activation quantizer."""
    quantizer: Any = build_quantizer(spec)
    low, high, step = quantizer.grid
    zero = 0 if low < 0 else LOWEST
    return Grid(float(np.float32(step)), zero, int(low) + zero, int(high) + zero)


def fitted_grid(values: np.ndarray, *, positive: bool = False) -> Grid:
    """A grid that holds numbers, and a quarter more, because other examples reach further."""
    reach = _ROOM * float(np.abs(values).max(initial=0.0)) or 1.0
    if positive:
        return Grid(float(np.float32(reach / (HIGHEST - LOWEST))), LOWEST)
    return Grid(float(np.float32(reach / HIGHEST)), 0)


def shape_of(call: Call) -> tuple[int, ...]:
    """Of a call's output for one example."""
    return (1, *(int(size) for size in call.outputs[0].shape[1:]))


def quantized(writing: Writing, label: str, x: Value, grid: Grid) -> Value:
    """x on another grid."""
    if x.grid == grid:
        return x
    if (x.grid.scale, x.grid.zero) == (grid.scale, grid.zero):
        return writing.model.clamped(label, x, grid)
    result = writing.model.value(f"{label}/quantize", x.shape, grid)
    writing.model.add("QUANTIZE", [x.index], result.index, "Quantize")
    return writing.model.clamped(label, result, grid)


# ---- products --------------------------------------------------------------------------------------------------------


def _product(
    writing: Writing,
    call: Call,
    x: Value,
    slot: str,
    laid: Callable[[np.ndarray], np.ndarray],
    operator: str,
    kind: str,
    shape: tuple[int, ...],
    grid: Grid,
    bias: bool,
    axis: int = 0,
    **options: Any,
) -> Value:
    """An operator of sums of products; `laid` puts a kernel's axes in LiteRT's order, `axis` is that of its outputs."""
    model, layer = writing.model, call.layer
    codes, scale = coded(layer, slot)
    kernel = laid(codes)
    scales = _of_outputs(laid(np.broadcast_to(scale, codes.shape)), axis)
    if _has_ties(x.grid.scale * scales.astype(np.float64), grid.scale):
        writing.differs(call.name, _TIES)
    narrow = writing.packs and int(np.abs(kernel).max(initial=0)) <= 7
    parts = [x.index, model.weights(f"{call.name}/{slot}", kernel, scales, axis, narrow)]
    parts.append(model.bias(f"{call.name}/bias", *_bias(writing, call, x, scales, len(scales), bias)))
    result = model.value(call.name, shape, grid)
    model.add(operator, parts, result.index, kind, **options)
    return model.clamped(call.name, result, grid)


def _has_ties(steps: np.ndarray, step: float) -> bool:
    """Whether a sum of these steps can lie in the middle between two codes."""
    ratios = step / steps
    return bool(np.any((ratios != np.rint(ratios)) | (np.rint(ratios) % 2 == 0)))


def _of_outputs(scales: np.ndarray, axis: int) -> np.ndarray:
    """One scale an output; those of zero are 1."""
    moved = np.moveaxis(scales, axis, 0).reshape(scales.shape[axis], -1)[:, 0]
    return np.where(moved > 0, moved, np.float32(1.0)).astype(np.float32)


def _bias(
    writing: Writing, call: Call, x: Value, scales: np.ndarray, count: int, bias: bool
) -> tuple[np.ndarray, np.ndarray]:
    steps = (np.float64(x.grid.scale) * scales.astype(np.float64)).astype(np.float32)
    if not bias:
        return np.zeros(count, np.int64), steps
    if "bias" in specs_of(call.layer):
        codes, scale = coded(call.layer, "bias")
        values = codes * np.asarray(scale, np.float64)
    else:
        values = np.asarray(float_value(call.layer, "bias"), np.float64)
    whole = np.rint(values / steps)
    if not np.array_equal(whole * np.float64(steps), values):
        writing.differs(call.name, _ROUNDED_BIAS)
    return whole.astype(np.int64), steps


def _dense(writing: Writing, call: Call, inputs: Sequence[Value]) -> Value:
    return _product(
        writing,
        call,
        inputs[0],
        "kernel",
        np.transpose,
        "FULLY_CONNECTED",
        "FullyConnected",
        shape_of(call),
        writing.grids[call.name],
        has_bias(call.layer),
        keepNumDims=len(shape_of(call)) > 2,
    )


def _windows(layer: Any, size: Sequence[int]) -> dict[str, Any]:
    strides, rates = each(layer.strides, size), each(layer.dilation_rate, size)
    return {
        "padding": schema.Padding.SAME if layer.padding == "same" else schema.Padding.VALID,
        "strideH": strides[0],
        "strideW": strides[1],
        "dilationHFactor": rates[0],
        "dilationWFactor": rates[1],
    }


def _convolution(writing: Writing, call: Call, inputs: Sequence[Value]) -> Value:
    layer = call.layer
    return _product(
        writing,
        call,
        inputs[0],
        "kernel",
        lambda kernel: np.moveaxis(kernel, -1, 0),
        "CONV_2D",
        "Conv2D",
        shape_of(call),
        writing.grids[call.name],
        has_bias(layer),
        **_windows(layer, layer.kernel_size),
    )


def _row(writing: Writing, call: Call, inputs: Sequence[Value]) -> Value:
    """A convolution along one axis as one of a single row."""
    layer, x = call.layer, inputs[0]
    wide = reshaped(writing, f"{call.name}/row", x, (1, 1, *x.shape[1:]))
    stride, rate = each(layer.strides, (1,))[0], each(layer.dilation_rate, (1,))[0]
    shape = shape_of(call)
    y = _product(
        writing,
        call,
        wide,
        "kernel",
        lambda kernel: np.moveaxis(kernel, -1, 0)[:, None],
        "CONV_2D",
        "Conv2D",
        (1, 1, *shape[1:]),
        writing.grids[call.name],
        has_bias(layer),
        padding=schema.Padding.SAME if layer.padding == "same" else schema.Padding.VALID,
        strideH=1,
        strideW=stride,
        dilationHFactor=1,
        dilationWFactor=rate,
    )
    return reshaped(writing, f"{call.name}/line", y, shape)


def _depthwise(writing: Writing, call: Call, inputs: Sequence[Value]) -> Value:
    return _depthwise_part(
        writing, call, inputs[0], shape_of(call), writing.grids[call.name], has_bias(call.layer)
    )


def _depthwise_part(
    writing: Writing, call: Call, x: Value, shape: tuple[int, ...], grid: Grid, bias: bool
) -> Value:
    layer = call.layer
    return _product(
        writing,
        call,
        x,
        "kernel",
        lambda kernel: kernel.reshape(1, *kernel.shape[:2], -1),
        "DEPTHWISE_CONV_2D",
        "DepthwiseConv2D",
        shape,
        grid,
        bias,
        axis=3,
        depthMultiplier=layer.depth_multiplier,
        **_windows(layer, layer.kernel_size),
    )


# ---- without weights -------------------------------------------------------------------------------------------------


def _pooling(operator: str) -> Builder:
    def write(writing: Writing, call: Call, inputs: Sequence[Value]) -> Value:
        layer, x = call.layer, inputs[0]
        size = each(layer.pool_size, (1, 1))
        strides = each(layer.strides, size)
        result = writing.model.value(f"{call.name}/pool", shape_of(call), x.grid)
        writing.model.add(
            operator,
            [x.index],
            result.index,
            "Pool2D",
            padding=schema.Padding.SAME if layer.padding == "same" else schema.Padding.VALID,
            strideH=strides[0],
            strideW=strides[1],
            filterHeight=size[0],
            filterWidth=size[1],
        )
        if operator == "AVERAGE_POOL_2D":
            writing.differs(call.name, "its means are rounded to the grid of what it reads")
        return quantized(writing, call.name, result, writing.grids[call.name])

    return write


def _global_pooling(operator: str) -> Builder:
    def write(writing: Writing, call: Call, inputs: Sequence[Value]) -> Value:
        x = inputs[0]
        grid = x.grid if operator == "REDUCE_MAX" else writing.grids[call.name]
        result = writing.model.value(f"{call.name}/pool", shape_of(call), grid)
        axes = writing.model.integers(f"{call.name}/axes", [1, 2])
        writing.model.add(
            operator, [x.index, axes], result.index, "Reducer", keepDims=bool(call.layer.keepdims)
        )
        return quantized(writing, call.name, result, writing.grids[call.name])

    return write


def reshaped(writing: Writing, label: str, x: Value, shape: tuple[int, ...]) -> Value:
    """The same codes in another shape."""
    result = writing.model.value(label, shape, x.grid)
    target = writing.model.integers(f"{label}/shape", shape)
    writing.model.add(
        "RESHAPE", [x.index, target], result.index, "Reshape", newShape=np.asarray(shape, np.int32)
    )
    return result


def _reshape(writing: Writing, call: Call, inputs: Sequence[Value]) -> Value:
    return reshaped(writing, call.name, inputs[0], shape_of(call))


def _zero_padding(writing: Writing, call: Call, inputs: Sequence[Value]) -> Value:
    x = inputs[0]
    result = writing.model.value(call.name, shape_of(call), x.grid)
    places = writing.model.integers(f"{call.name}/pads", [(0, 0), *pairs(call.layer.padding), (0, 0)])
    writing.model.add("PAD", [x.index, places], result.index, "Pad")
    return result


def _merge(operator: str, kind: str) -> Builder:
    def write(writing: Writing, call: Call, inputs: Sequence[Value]) -> Value:
        grid, total = writing.grids[call.name], inputs[0]
        for index, other in enumerate(inputs[1:]):
            result = writing.model.value(f"{call.name}/{index}", shape_of(call), grid)
            writing.model.add(operator, [total.index, other.index], result.index, kind)
            total = result
        return writing.model.clamped(call.name, total, grid)

    return write


def _concatenate(writing: Writing, call: Call, inputs: Sequence[Value]) -> Value:
    grid = writing.grids[call.name]
    alike = [quantized(writing, f"{call.name}/{index}", x, grid) for index, x in enumerate(inputs)]
    result = writing.model.value(call.name, shape_of(call), grid)
    axis = call.layer.axis % len(result.shape)
    writing.model.add("CONCATENATION", [x.index for x in alike], result.index, "Concatenation", axis=axis)
    return result


def _function(writing: Writing, call: Call, inputs: Sequence[Value]) -> Value:
    """A quantizer, or a ReLU of what is quantized already."""
    x = inputs[0]
    if "activation" in specs_of(call.layer):
        return quantized(writing, call.name, x, writing.grids[call.name])
    if class_of(call.layer) == "ReLU" or getattr(call.layer.activation, "__name__", "") == "relu":
        return writing.model.clamped(call.name, x, replace(x.grid, low=max(x.grid.low, x.grid.zero)))
    return x


def _unchanged(writing: Writing, call: Call, inputs: Sequence[Value]) -> Value:
    return inputs[0]


#: Class of the Keras layer -> what writes it.
LAYERS: Final[Mapping[str, Builder]] = MappingProxyType(
    dict.fromkeys(sorted(TRAINING_ONLY), _unchanged)
    | dict.fromkeys(("Activation", "ReLU", INPUT), _function)
    | {
        "Add": _merge("ADD", "Add"),
        "AveragePooling2D": _pooling("AVERAGE_POOL_2D"),
        "Concatenate": _concatenate,
        "Conv1D": _row,
        "Conv2D": _convolution,
        "Dense": _dense,
        "DepthwiseConv2D": _depthwise,
        "Flatten": _reshape,
        "GlobalAveragePooling2D": _global_pooling("MEAN"),
        "GlobalMaxPooling2D": _global_pooling("REDUCE_MAX"),
        "MaxPooling2D": _pooling("MAX_POOL_2D"),
        "Multiply": _merge("MUL", "Mul"),
        "Reshape": _reshape,
        "Softmax": _unchanged,
        "Subtract": _merge("SUB", "Sub"),
        "ZeroPadding2D": _zero_padding,
    }
)
#: Layers whose output has the grid of what they read.
SAME_GRID: Final = frozenset(
    {"Flatten", "Reshape", "MaxPooling2D", "GlobalMaxPooling2D", "ZeroPadding2D", *TRAINING_ONLY}
)
