"""Functions and activation quantizers for hls4ml: a type that rounds half to even and saturates is a quantizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from quantization.export.errors import NotExpressible
from quantization.export.writers.hls4ml_project.bends import (
    affine_of,
    bent,
    minus,
    plus,
    power,
    rectified,
    times,
    unit_range,
)
from quantization.export.writers.hls4ml_project.moves import quantized
from quantization.export.writers.hls4ml_project.products import scaled
from quantization.export.writers.hls4ml_project.project import QUANTIZED, Project, Signal
from quantization.export.writers.hls4ml_project.types import Span
from quantization.export.writers.reading import (
    class_of,
    coded,
    float_value,
    function_name,
    is_replaced,
    specs_of,
)
from quantization.graph import Call
from quantization.quantizers import build_quantizer

#: Keras' slope of the function `leaky_relu`.
_SLOPE: Final = 0.2
#: Type of what hls4ml reads from a table.
_TABLE: Final = Span(-(2**23), 2**23 - 1, -16)


class NotInHls4ml(NotExpressible):
    """A layer of the model cannot be written for hls4ml: `layer`, `reason`."""

    written = "for hls4ml"


def activated(project: Project, call: Call, x: Signal) -> Signal:
    """A layer's function and the quantizer of its output. Raises `NotInHls4ml`."""
    spec = specs_of(call.layer).get("activation")
    if not is_replaced(call.layer):
        x = _function(project, call, x)
    return x if spec is None else _QUANTIZERS[spec.kind](project, call, x, spec)


def _label(call: Call, x: Signal) -> str:
    """The name of the layer itself, where it has none yet."""
    return call.name if x.name in call.sources or class_of(call.layer) == "Activation" else f"{call.name}_act"


def _activation(project: Project, call: Call, x: Signal, function: str, span: Span, mode: str = "") -> Signal:
    return project.add(
        "Activation",
        _label(call, x),
        [x],
        x.shape,
        span,
        precision=span.precision(mode),
        activation=function,
        n_in=math.prod(x.shape),
    )


# ---- quantizers ------------------------------------------------------------------------------------------------------


def grid_of(spec: Any) -> tuple[Span, str] | None:
    """The numbers of a plain grid and how its type rounds; None for quantizers that are more than a type."""
    quantizer: Any = build_quantizer(spec)
    if spec.kind == "quantized_bits" and not quantizer.is_sign:
        (low, high), step = quantizer.code_range, quantizer.step
    elif spec.kind == "quantized_linear" and not quantizer.is_sign:
        (low, high), step = quantizer.clip_range, quantizer.unit
    elif spec.kind == "quantized_tanh" and not spec.use_real_tanh:
        (low, high), step = quantizer.code_range, 1.0 / quantizer.count
    elif spec.kind == "quantized_relu" and not (spec.negative_slope or spec.use_sigmoid):
        low, high, step = 0.0, quantizer.top, quantizer.step
    else:
        return None
    mantissa, exponent = math.frexp(step)
    if mantissa != 0.5:
        return None
    is_symmetric = low < 0 and low == -high
    span = Span(int(low) - is_symmetric, int(high), exponent - 1)
    return span, ",RND_CONV,SAT_SYM" if is_symmetric else QUANTIZED


def _grid(project: Project, call: Call, x: Signal, spec: Any) -> Signal:
    if build_quantizer(spec).bits == 1 and getattr(spec, "keep_negative", False):
        return _sign(project, call, x, _alpha(spec))
    grid = grid_of(spec)
    if grid is None:
        raise NotInHls4ml(call.name, f"{spec}: its step must be a power of two")
    span, mode = grid
    y = quantized(project, _label(call, x), x, span, mode)
    alpha = _alpha(spec) if spec.kind == "quantized_bits" else 1.0
    return (
        y if alpha == 1.0 else scaled(project, f"{call.name}_alpha", y, np.array([alpha]), None, y.shape[-1])
    )


def _alpha(spec: Any) -> float:
    alpha = getattr(spec, "alpha", None)
    return 1.0 if alpha is None else float(alpha)


def _relu(project: Project, call: Call, x: Signal, spec: Any) -> Signal:
    quantizer: Any = build_quantizer(spec)
    top = quantizer.top if quantizer.bound is None else min(quantizer.bound, quantizer.top)
    if top != quantizer.top:
        raise NotInHls4ml(call.name, f"{spec}: no bound below the grid's")
    if spec.use_sigmoid:
        return _sigmoid_relu(project, call, x, quantizer)
    if spec.negative_slope:
        return _leaky_relu(project, call, x, quantizer)
    span, mode = grid_of(spec) or (_TABLE, "")
    return _activation(project, call, x, "relu", span, mode)


def _leaky_relu(project: Project, call: Call, x: Signal, quantizer: Any) -> Signal:
    """The grid from zero on, and that of the slope below, each a type of its own, and their sum."""
    spec = quantizer.spec
    exponent = power(quantizer.step)
    above = rectified(project, f"{call.name}_above", x)
    below = minus(project, f"{call.name}_below", x, above)
    upper = quantized(project, f"{call.name}_upper", above, Span(0, int(quantizer.top), exponent), QUANTIZED)
    if not quantizer.depth:
        return upper
    steep = times(project, f"{call.name}_slope", below, spec.negative_slope)
    grid = Span(-int(quantizer.depth), int(quantizer.depth) - 1, exponent)
    lower = quantized(project, f"{call.name}_lower", steep, grid, QUANTIZED)
    return plus(project, _label(call, x), upper, lower)


def _sigmoid_relu(project: Project, call: Call, x: Signal, quantizer: Any) -> Signal:
    """2 * hard sigmoid - 1 on the grid from zero on, and that of the slope below."""
    spec, count = quantizer.spec, int(quantizer.count)
    places = power(1.0 / count)
    ratio = unit_range(
        project, call, affine_of(project, f"{call.name}_ratio", x, 0.5 ** (spec.integer + 1), 0.5)
    )

    def doubled(label: str, y: Signal, offset: float) -> Signal:
        whole = quantized(project, f"{label}_codes", y, Span(0, count, places), QUANTIZED)
        return affine_of(project, f"{label}_doubled", whole, 2.0, -offset)

    upper = doubled(f"{call.name}_upper", ratio, 1.0)
    y = rectified(project, f"{call.name}_above", upper, Span(0, count - 1, places), QUANTIZED)
    if spec.negative_slope:
        slope = float(spec.negative_slope)
        lower = doubled(f"{call.name}_lower", times(project, f"{call.name}_slope", ratio, slope), slope)
        least = minus(project, f"{call.name}_least", lower, rectified(project, f"{call.name}_rest", lower))
        y = plus(project, f"{call.name}_sum", y, least)
    return y if spec.integer == 0 else times(project, f"{call.name}_scaled", y, 2.0**spec.integer)


def _tanh(project: Project, call: Call, x: Signal, spec: Any) -> Signal:
    if spec.use_real_tanh:
        x = _table(project, call, x, "tanh")
        exponent = 1 - spec.bits
        y = Span(-(2 ** (spec.bits - 1)), 2 ** (spec.bits - 1) - 1, exponent)
        return quantized(project, f"{call.name}_grid", x, y, QUANTIZED)
    return _grid(project, call, x, spec)


def _sigmoid(project: Project, call: Call, x: Signal, spec: Any) -> Signal:
    span = Span(0, 2**spec.bits - 1, -spec.bits)
    if spec.use_real_sigmoid:
        y = quantized(project, f"{call.name}_grid", _table(project, call, x, "sigmoid"), span, QUANTIZED)
    else:
        moved = affine_of(project, f"{call.name}_half", x, 0.5, 0.5)
        y = quantized(project, _label(call, x), moved, span, QUANTIZED)
    if not spec.symmetric:
        return y
    least = 2.0**-spec.bits  # the lowest code is 1
    above = rectified(project, f"{call.name}_above", affine_of(project, f"{call.name}_less", y, 1.0, -least))
    return affine_of(project, f"{call.name}_more", above, 1.0, least)


def _binary(project: Project, call: Call, x: Signal, spec: Any) -> Signal:
    if getattr(spec, "use_01", False):
        raise NotInHls4ml(call.name, f"{spec}: use quantized_relu(1,1)")
    return _sign(project, call, x, _alpha(spec))


def _sign(project: Project, call: Call, x: Signal, scale: float) -> Signal:
    y = _activation(project, call, x, "binary_tanh", Span(-1, 1, 0))
    if scale == 1.0:
        return y
    return scaled(project, f"{call.name}_alpha", y, np.array([scale]), None, y.shape[-1])


_QUANTIZERS: Final[Mapping[str, Callable[[Project, Call, Signal, Any], Signal]]] = MappingProxyType(
    {
        "quantized_bits": _grid,
        "quantized_linear": _grid,
        "quantized_relu": _relu,
        "quantized_tanh": _tanh,
        "quantized_sigmoid": _sigmoid,
        "binary": _binary,
    }
)


# ---- functions -------------------------------------------------------------------------------------------------------


def _table(project: Project, call: Call, x: Signal, function: str) -> Signal:
    project.inexact[call.name] = f"{function} is read from a table of 4096 entries"
    return project.add(
        "Activation",
        f"{call.name}_{function}",
        [x],
        x.shape,
        _TABLE,
        types={"table": _TABLE.precision()},
        activation=function,
        n_in=math.prod(x.shape),
        table_size=4096,
    )


def _function(project: Project, call: Call, x: Signal) -> Signal:
    layer, class_name, name = call.layer, class_of(call.layer), function_name(call)
    if class_name in ("LSTM", "GRU", "Bidirectional"):
        return x  # it has applied its functions
    if class_name == "ReLU" or name == "relu":
        return _activation(project, call, x, "relu", x.span.positive())
    if class_name == "LeakyReLU" or name == "leaky_relu":
        slope = layer.negative_slope if class_name == "LeakyReLU" else _SLOPE
        return bent(project, call, x, np.full(x.shape[-1], slope, np.float32))
    if class_name == "PReLU":
        return _sloped(project, call, x)
    if class_name == "ELU" or name == "elu":
        return _elu(project, call, x, float(layer.alpha) if class_name == "ELU" else 1.0)
    if name == "hard_sigmoid":
        project.inexact[call.name] = "x / 6 is rounded by Keras, and not here"
        return unit_range(project, call, affine_of(project, f"{call.name}_sixth", x, 1.0 / 6.0, 0.5))
    if name == "linear" and class_name != "Softmax":
        return x
    if class_name == "Softmax" or name == "softmax":
        project.inexact[call.name] = "softmax is read from tables"
        return project.add(
            "Softmax",
            f"{call.name}_softmax",
            [x],
            x.shape,
            _TABLE,
            activation="softmax",
            axis=-1,
            n_in=math.prod(x.shape),
        )
    if name in ("tanh", "sigmoid", "softplus", "softsign", "selu"):
        return _table(project, call, x, name)
    raise NotInHls4ml(call.name, f"activation {name if name != 'linear' else class_name}")


def _sloped(project: Project, call: Call, x: Signal) -> Signal:
    """A PReLU: a slope for every number, so that all lie in a row."""
    layer = call.layer
    alpha = coded(layer, "alpha") if "alpha" in specs_of(layer) else (1.0, float_value(layer, "alpha"))
    slopes = np.asarray(alpha[0] * alpha[1], np.float32).reshape(-1)
    if len(x.shape) == 1:
        return bent(project, call, x, slopes)
    row = project.add("Reshape", f"{call.name}_row", [x], (len(slopes),), x.span, target_shape=[len(slopes)])
    y = bent(project, call, row, slopes)
    return project.add("Reshape", f"{call.name}_shape", [y], x.shape, y.span, target_shape=list(x.shape))


def _elu(project: Project, call: Call, x: Signal, alpha: float) -> Signal:
    """x above zero, and below it alpha times what is read from a table."""
    above = rectified(project, f"{call.name}_above", x)
    read = _table(project, call, x, "elu")
    below = minus(project, f"{call.name}_below", read, rectified(project, f"{call.name}_rest", read))
    return plus(project, f"{call.name}_sum", above, times(project, f"{call.name}_alpha", below, alpha))
