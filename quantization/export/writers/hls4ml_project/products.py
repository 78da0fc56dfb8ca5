"""Layers of sums for hls4ml: dense and convolution layers, normalizations, means, with types that hold every number."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from quantization.export.writers.hls4ml_project.project import Project, Signal
from quantization.export.writers.hls4ml_project.types import (
    Numbers,
    exact_or_rounded,
    numbers,
    power_of_two,
    sums,
)
from quantization.export.writers.reading import (
    affine,
    class_of,
    coded,
    each,
    float_value,
    has_bias,
    paddings,
    specs_of,
)
from quantization.graph import Call

#: Writes a call: (project, call, what it reads) -> what it gives, before its activation.
Builder = Callable[[Project, Call, Sequence[Signal]], Signal]


def shape_of(call: Call) -> tuple[int, ...]:
    """Of a call's output, without the batch."""
    return tuple(int(size) for size in call.outputs[0].shape[1:])


# ---- weights ---------------------------------------------------------------------------------------------------------


def _factors(project: Project, call: Call, slot: str) -> tuple[Numbers, np.ndarray | None]:
    """A kernel, and the scale of each of its channels where these are no powers of two and so are multiplied last."""
    layer = call.layer
    if slot not in specs_of(layer):
        return _of_floats(project, call, slot, float_value(layer, slot)), None
    codes, scale = coded(layer, slot)
    if power_of_two(scale):
        return numbers(codes, scale), None
    channels = _channels(call, slot, scale)
    if channels is None:  # scales within a sum: multiplied into the weights
        return numbers(codes, scale), None
    return Numbers(codes, 0), channels


def _channels(call: Call, slot: str, scale: np.ndarray) -> np.ndarray | None:
    """One scale for each output; None where scales differ within an output's sum."""
    if not scale.ndim:
        return scale.reshape(1)
    last = 2 if class_of(call.layer).startswith(("Depthwise", "Separable")) and slot == "kernel" else 1
    if any(size != 1 for size in scale.shape[:-last]):
        return None
    shape = call.layer.quantized_weights()[slot][0].shape
    return np.broadcast_to(scale, (*scale.shape[:-last], *shape[-last:])).reshape(-1)


def _of_floats(project: Project, call: Call, slot: str, values: np.ndarray) -> Numbers:
    result, is_exact = exact_or_rounded(values)
    if not is_exact:
        project.inexact[call.name] = f"its {slot} has no quantizer, and is rounded to 16 fraction bits"
    return result


def _bias(project: Project, call: Call) -> Numbers | None:
    layer = call.layer
    if not has_bias(layer):
        return None
    if "bias" in specs_of(layer):
        return numbers(*coded(layer, "bias"))
    return _of_floats(project, call, "bias", float_value(layer, "bias"))


def scaled(
    project: Project, label: str, x: Signal, scale: np.ndarray, bias: Numbers | None, channels: int
) -> Signal:
    """x times a factor for each channel, plus a bias."""
    factor = numbers(np.ones(scale.shape, np.int64), scale.astype(np.float32))
    wide = Numbers(np.broadcast_to(factor.codes, (channels,)), factor.exponent)
    offset = Numbers(np.zeros(channels, np.int64), 0) if bias is None else bias
    span = x.span.times(wide.span).plus(offset.span.with_zero()).hull(offset.span)
    return project.add(
        "ApplyAlpha",
        label,
        [x],
        x.shape,
        span,
        types={"scale": wide.span.precision(), "bias": offset.span.precision()},
        arrays={"scale_data": wide.values, "bias_data": np.broadcast_to(offset.values, (channels,))},
        n_in=math.prod(x.shape),
        n_filt=channels if len(x.shape) > 1 else -1,
        use_gamma=True,
        use_beta=True,
    )


# ---- products --------------------------------------------------------------------------------------------------------


def _sum(
    project: Project,
    call: Call,
    x: Signal,
    class_name: str,
    shape: tuple[int, ...],
    kernel: Numbers,
    matrix: np.ndarray,
    scale: np.ndarray | None,
    bias: Numbers | None,
    key: str = "weight_data",
    **attributes: Any,
) -> Signal:
    """A layer of sums of products; `matrix`: its kernel as (summands, outputs)."""
    late = bias if scale is not None else None
    early = None if scale is not None else bias
    span = sums(x.span.with_zero(), matrix, early, kernel.exponent)
    arrays = {key: kernel.values} | ({} if early is None else {"bias_data": early.values})
    types = {"weight": kernel.span.precision(), "accum": span.precision()}
    types |= {} if early is None else {"bias": early.span.precision()}
    y = project.add(
        class_name,
        call.name,
        [x],
        shape,
        span,
        types=types,
        arrays=arrays,
        data_format="channels_last",
        **({"bias_data": None} if early is None else {}),
        **attributes,
    )
    return y if scale is None else scaled(project, f"{call.name}_scale", y, scale, late, shape[-1])


def dense(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """A product with a matrix."""
    kernel, scale = _factors(project, call, "kernel")
    n_in, n_out = kernel.codes.shape
    shape = shape_of(call)
    bias = _bias(project, call)
    return _sum(
        project, call, inputs[0], "Dense", shape, kernel, kernel.codes, scale, bias, n_in=n_in, n_out=n_out
    )


def windows(
    x: tuple[int, ...],
    shape: tuple[int, ...],
    size: Sequence[int],
    strides: Sequence[int],
    padding: str,
    name: str = "filt",
) -> dict[str, Any]:
    """Sizes of a convolution or pooling, as hls4ml calls them."""
    pads = paddings(padding, x[:-1], size, strides, (1,) * len(size)) or []
    axes = ("width",) if len(size) == 1 else ("height", "width")
    sides = (("left", "right"),) if len(size) == 1 else (("top", "bottom"), ("left", "right"))
    result: dict[str, Any] = {"n_filt": shape[-1], "n_chan": x[-1]}
    for index, axis in enumerate(axes):
        result |= {
            f"{name}_{axis}": int(size[index]),
            f"stride_{axis}": int(strides[index]),
            f"in_{axis}": x[index],
            f"out_{axis}": shape[index],
            f"pad_{sides[index][0]}": pads[index][0],
            f"pad_{sides[index][1]}": pads[index][1],
        }
    return result


def convolution(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """A convolution."""
    layer, x = call.layer, inputs[0]
    kernel, scale = _factors(project, call, "kernel")
    shape = shape_of(call)
    sizes = windows(x.shape, shape, layer.kernel_size, each(layer.strides, layer.kernel_size), layer.padding)
    matrix = kernel.codes.reshape(-1, shape[-1])
    class_name = f"Conv{len(layer.kernel_size)}D"
    return _sum(project, call, x, class_name, shape, kernel, matrix, scale, _bias(project, call), **sizes)


def depthwise_layer(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """A depthwise convolution."""
    return _depthwise_part(project, call, inputs[0], shape_of(call), _bias(project, call))


def _depthwise_part(
    project: Project, call: Call, x: Signal, shape: tuple[int, ...], bias: Numbers | None
) -> Signal:
    layer = call.layer
    kernel, scale = _factors(project, call, "kernel")
    return depthwise(
        project, call, x, shape, kernel, scale, bias, layer.kernel_size, layer.strides, layer.padding
    )


def depthwise(
    project: Project,
    call: Call,
    x: Signal,
    shape: tuple[int, ...],
    kernel: Numbers,
    scale: np.ndarray | None,
    bias: Numbers | None,
    size: Sequence[int],
    strides: Any,
    padding: str,
) -> Signal:
    """A depthwise convolution; `kernel` (window..., channels, 1)."""
    sizes = windows(x.shape, shape, size, each(strides, size), padding)
    matrix = kernel.codes.reshape(math.prod(size), -1)
    class_name = f"DepthwiseConv{len(size)}D"
    return _sum(
        project,
        call,
        x,
        class_name,
        shape,
        kernel,
        matrix,
        scale,
        bias,
        key="depthwise_data",
        depth_multiplier=1,
        **sizes,
    )


def separable(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """A depthwise convolution, and one of a single place."""
    x, shape = inputs[0], shape_of(call)
    between = _depthwise_part(project, call, x, (*shape[:-1], x.shape[-1]), None)
    kernel, scale = _factors(project, call, "pointwise_kernel")
    ones = (1,) * len(call.layer.kernel_size)
    sizes = windows(between.shape, shape, ones, ones, "valid")
    matrix = kernel.codes.reshape(-1, shape[-1])
    bias = _bias(project, call)
    class_name = f"Conv{len(ones)}D"
    return _sum(project, call, between, class_name, shape, kernel, matrix, scale, bias, **sizes)


def normalization(project: Project, call: Call, inputs: Sequence[Signal]) -> Signal:
    """One factor and one offset a channel."""
    layer, x = call.layer, inputs[0]
    specs = set(specs_of(layer)) - {"activation"}
    if not specs:
        factor, offset = affine(layer)
        project.inexact[call.name] = "a normalization in float; fold or quantize it"
        return scaled(project, call.name, x, factor, exact_or_rounded(offset)[0], x.shape[-1])
    mean, inverse = (_slot(call, slot).values for slot in ("mean", "inverse"))
    beta = _slot(call, "beta").values if layer.center else 0.0
    constant = numbers(np.ones(x.shape[-1], np.int64), beta - np.float64(mean) * inverse)
    return scaled(project, call.name, x, inverse, constant, x.shape[-1])


def _slot(call: Call, slot: str) -> Numbers:
    if slot not in specs_of(call.layer):
        values = float_value(call.layer, slot)
        return numbers(np.ones(values.shape, np.int64), values)
    return numbers(*coded(call.layer, slot))
