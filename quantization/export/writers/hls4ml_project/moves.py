"""Poolings, layers that move numbers and merges for hls4ml."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras import ops

from quantization.export.writers.hls4ml_project.products import Builder, depthwise, shape_of, windows
from quantization.export.writers.hls4ml_project.project import Project, Signal
from quantization.export.writers.hls4ml_project.types import Span, numbers, places
from quantization.export.writers.reading import each, pairs, specs_of
from quantization.graph import Call

# ---- pooling ---------------------------------------------------------------------------------------------------------


def pooling(kind: str) -> Builder:
    """What writes a pooling of this kind."""

    def write(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
        layer, x = call.layer, inputs[0]
        size = each(layer.pool_size, (1,) * (len(x.shape) - 1))
        strides = each(layer.strides, size)
        return _pooled(project, call, x, kind, shape_of(call), size, strides, layer.padding)

    return write


def global_pooling(kind: str) -> Builder:
    """What writes a pooling of all places."""

    def write(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
        x = inputs[0]
        size, ones = x.shape[:-1], (1,) * (len(x.shape) - 1)
        y = _pooled(project, call, x, kind, (*ones, x.shape[-1]), size, size, "valid")
        return y if call.layer.keepdims else _reshaped(project, call, y)

    return write


def _pooled(
    project: Project,
    call: Call,
    x: Signal,
    kind: str,
    shape: tuple[int, ...],
    size: Sequence[int],
    strides: Sequence[int],
    padding: str,
) -> Signal:
    count = math.prod(size)
    if kind == "Average" and ("average" in specs_of(call.layer) or places(count) is None):
        return _mean(project, call, x, shape, size, strides, padding)
    span = x.span
    if kind == "Average":
        low, high = min(span.low, 0) * count, max(span.high, 0) * count
        span = Span(low, high, span.exponent - (places(count) or 0))
    total = Span(span.low, span.high, min(span.exponent, x.span.exponent))
    wide = Span(total.low * count, total.high * count, total.exponent) if kind == "Average" else total
    sizes = windows(x.shape, shape, size, strides, padding, "pool")
    if len(size) == 1:
        sizes |= {"n_in": sizes["in_width"], "n_out": sizes["out_width"]}
    return project.add(
        f"{kind}Pooling{len(size)}D",
        call.name,
        [x],
        shape,
        span,
        types={"accum": wide.precision()},
        data_format="channels_last",
        count_pad=False,
        **sizes,
    )


def _mean(
    project: Project,
    call: Call,
    x: Signal,
    shape: tuple[int, ...],
    size: Sequence[int],
    strides: Sequence[int],
    padding: str,
) -> Signal:
    """A mean as a convolution by its factor: exact where the factor is quantized."""
    count = math.prod(size)
    if "average" in specs_of(call.layer):
        factor = np.asarray(ops.convert_to_numpy(call.layer.quantizer("average")(np.float32(1.0 / count))))
    else:
        factor = np.asarray(np.float32(1.0 / count))
        project.inexact[call.name] = f"a mean of {count} numbers, which is no power of two"
    kernel = numbers(np.ones((*size, x.shape[-1], 1), np.int64), factor)
    return depthwise(project, call, x, shape, kernel, None, None, size, strides, padding)


# ---- numbers moved ---------------------------------------------------------------------------------------------------


def _reshaped(project: Project, call: Call, x: Signal) -> Signal:
    shape = shape_of(call)
    return project.add("Reshape", f"{call.name}_shape", [x], shape, x.span, target_shape=list(shape))


def reshape(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """Another shape; of a Flatten, too."""
    shape = shape_of(call)
    return project.add("Reshape", call.name, [inputs[0]], shape, inputs[0].span, target_shape=list(shape))


def permutation(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """Axes in another order."""
    order = [dim - 1 for dim in call.layer.dims]
    return project.add("Transpose", call.name, [inputs[0]], shape_of(call), inputs[0].span, perm=order)


def zero_padding(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """Zeros around the places."""
    return _bordered(project, call, inputs[0], "ZeroPadding", pairs(call.layer.padding), "pad")


def cropping(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """Without the outermost places."""
    return _bordered(project, call, inputs[0], "Cropping", pairs(call.layer.cropping), "crop")


def _bordered(
    project: Project, call: Call, x: Signal, kind: str, borders: list[tuple[int, int]], name: str
) -> Signal:
    shape = shape_of(call)
    axes = ("width",) if len(borders) == 1 else ("height", "width")
    sides = (("left", "right"),) if len(borders) == 1 else (("top", "bottom"), ("left", "right"))
    sizes: dict[str, Any] = {"n_chan": x.shape[-1]}
    for index, axis in enumerate(axes):
        sizes |= {f"in_{axis}": x.shape[index], f"out_{axis}": shape[index]}
        sizes |= {f"{name}_{side}": borders[index][end] for end, side in enumerate(sides[index])}
    span = x.span.with_zero() if name == "pad" else x.span
    source = x
    if span != x.span:  # zeros take the type of what they surround
        source = quantized(project, f"{call.name}_type", x, span, "")
    return project.add(
        f"{kind}{len(borders)}D", call.name, [source], shape, span, data_format="channels_last", **sizes
    )


def quantized(project: Project, label: str, x: Signal, span: Span, mode: str) -> Signal:
    """x in another type."""
    return project.add(
        "Activation",
        label,
        [x],
        x.shape,
        span,
        precision=span.precision(mode),
        activation="linear",
        n_in=math.prod(x.shape),
    )


# ---- several inputs --------------------------------------------------------------------------------------------------


def merge(op: str, result: Callable[[Span, Span], Span]) -> Builder:
    """What writes a merge of two; `result`: its numbers from theirs."""

    def write(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
        one, two = inputs
        span = result(one.span, two.span)
        return project.add("Merge", call.name, [one, two], shape_of(call), span, op=op)

    return write


def mean_of_two(one: Span, two: Span) -> Span:
    """Numbers of a mean."""
    total = one.plus(two)
    return Span(total.low, total.high, total.exponent - 1)


def concatenate(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """Two tensors one after the other."""
    one, two = inputs
    rank = len(one.shape)
    axis = call.layer.axis if call.layer.axis > 0 else call.layer.axis + rank + 1
    return project.add(
        "Concatenate",
        call.name,
        [one, two],
        shape_of(call),
        one.span.hull(two.span),
        op=f"concatenate{rank}d",
        axis=axis,
    )
