"""Activation functions and activation quantizers as ONNX nodes, in the order in which Keras computes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from quantization.export.errors import NotExpressible
from quantization.export.legality.onnx import activation_fault
from quantization.integer.steps import NotSteps, levels_of
from quantization.quantizers import build_quantizer

if TYPE_CHECKING:  # other graphs have the same operations, without onnx
    from quantization.export.writers.onnx_graph.graph import OnnxGraph

#: Writes a function of x: (graph, label, x) -> name of the result.
Writer = Callable[["OnnxGraph", str, str], str]
QuantizerWriter = Callable[["OnnxGraph", str, str, Any], str]


class NotInOnnx(NotExpressible):
    """A layer of the model cannot be written as ONNX: `layer`, `reason`."""

    written = "as ONNX"


# ---- quantizers of activations ---------------------------------------------------------------------------------------


def quantized(graph: OnnxGraph, layer: str, x: str, spec: Any) -> str:
    """x through a quantizer as at inference. Raises `NotInOnnx`."""
    fault = "it is not written" if spec.kind not in _QUANTIZERS else activation_fault(spec)
    if fault is not None:
        raise NotInOnnx(layer, f"{spec}: {fault}")
    return _QUANTIZERS[spec.kind](graph, layer, x, spec)


def _alpha(spec: Any) -> float:
    alpha = getattr(spec, "alpha", None)
    return 1.0 if alpha is None else float(alpha)


def _bits(graph: OnnxGraph, layer: str, x: str, spec: Any) -> str:
    quantizer: Any = build_quantizer(spec)
    if quantizer.is_sign:
        return graph.sign(layer, x, _alpha(spec))
    low, high = quantizer.code_range
    return graph.scaled(layer, graph.grid(layer, x, quantizer.step, int(low), int(high)), _alpha(spec))


def _hswish(graph: OnnxGraph, layer: str, x: str, spec: Any) -> str:
    shift, bound = float(spec.relu_shift), float(spec.relu_upper_bound)
    moved = graph.add("Add", layer, [x, graph.constant(layer, shift)])
    product = graph.add("Mul", layer, [x, graph.clipped(layer, moved, 0.0, bound)])
    return _bits(graph, layer, graph.add("Div", layer, [product, graph.constant(layer, bound)]), spec)


def _linear(graph: OnnxGraph, layer: str, x: str, spec: Any) -> str:
    quantizer: Any = build_quantizer(spec)
    if quantizer.is_sign:
        return graph.sign(layer, x, quantizer.unit / 2.0)
    low, high = quantizer.clip_range
    return graph.grid(layer, x, quantizer.unit, int(low), int(high))


def _relu(graph: OnnxGraph, layer: str, x: str, spec: Any) -> str:
    quantizer: Any = build_quantizer(spec)
    top = quantizer.top if quantizer.bound is None else min(quantizer.bound, quantizer.top)
    low = -quantizer.depth
    if spec.use_sigmoid:
        return _sigmoid_relu(graph, layer, x, quantizer, int(top))
    if spec.negative_slope:
        x = graph.add("LeakyRelu", layer, [x], alpha=float(spec.negative_slope))
    else:
        x = graph.add("Relu", layer, [x])
    return graph.grid(layer, x, quantizer.step, int(low), int(top))


def _sigmoid_relu(graph: OnnxGraph, layer: str, x: str, quantizer: Any, top: int) -> str:
    """2 * hard sigmoid - 1 on the grid, and below zero that of the slope."""
    spec, count = quantizer.spec, quantizer.count
    ratio = _hard_sigmoid(graph, layer, graph.scaled(layer, x, 2.0**-spec.integer))
    codes = _doubled(graph, layer, graph.scaled(layer, ratio, count), count)
    codes = graph.clipped(layer, codes, 0.0, quantizer.top)
    if spec.negative_slope:
        slope = float(spec.negative_slope)
        below = _doubled(graph, layer, graph.scaled(layer, ratio, count * slope), slope * count)
        codes = graph.add("Add", layer, [codes, graph.clipped(layer, below, -quantizer.depth, 0.0)])
    return graph.grid(
        layer, graph.scaled(layer, codes, quantizer.step), quantizer.step, -int(quantizer.depth), top
    )


def _doubled(graph: OnnxGraph, layer: str, ratio: str, offset: float) -> str:
    twice = graph.scaled(layer, graph.add("Round", layer, [ratio]), 2.0)
    return graph.add("Sub", layer, [twice, graph.constant(layer, offset)])


def _hard_sigmoid(graph: OnnxGraph, layer: str, x: str) -> str:
    return graph.add("HardSigmoid", layer, [x], alpha=0.5, beta=0.5)


def _tanh(graph: OnnxGraph, layer: str, x: str, spec: Any) -> str:
    quantizer: Any = build_quantizer(spec)
    if spec.use_real_tanh:
        x = graph.add("Tanh", layer, [x])
    else:
        twice = graph.scaled(layer, _hard_sigmoid(graph, layer, x), 2.0)
        x = graph.add("Sub", layer, [twice, graph.constant(layer, 1.0)])
    low, high = quantizer.code_range
    return graph.grid(layer, x, 1.0 / quantizer.count, int(low), int(high))


def _sigmoid(graph: OnnxGraph, layer: str, x: str, spec: Any) -> str:
    quantizer: Any = build_quantizer(spec)
    x = graph.add("Sigmoid", layer, [x]) if spec.use_real_sigmoid else _hard_sigmoid(graph, layer, x)
    low, high = quantizer.code_range
    return graph.grid(layer, x, 1.0 / quantizer.count, int(low), int(high))


def _binary(graph: OnnxGraph, layer: str, x: str, spec: Any) -> str:
    scale = _alpha(spec)
    if spec.kind == "bernoulli" or getattr(spec, "use_01", False):
        return graph.chosen(layer, x, 0.0, scale)
    return graph.sign(layer, x, scale)


def _discrete_relu(graph: OnnxGraph, layer: str, x: str, spec: Any) -> str:
    quantizer: Any = build_quantizer(spec)
    above = graph.add("Sub", layer, [x, graph.constant(layer, spec.threshold_value)])
    ratio = graph.add("Div", layer, [above, graph.constant(layer, spec.step_width)])
    codes = graph.clipped(layer, graph.add("Ceil", layer, [ratio]), 0.0, quantizer.top)
    # on the grid already: it says that the values have few bits
    values = graph.scaled(layer, codes, spec.step_width)
    return graph.grid(layer, values, spec.step_width, 0, int(quantizer.top))


def _steps(graph: OnnxGraph, layer: str, x: str, spec: Any) -> str:
    try:
        thresholds, levels = levels_of(spec)
    except NotSteps as error:
        raise NotInOnnx(layer, f"{spec}: {error}") from None
    return graph.stepped(layer, x, thresholds, levels)


_QUANTIZERS: Final[Mapping[str, QuantizerWriter]] = MappingProxyType(
    {
        "quantized_bits": _bits,
        "quantized_linear": _linear,
        "quantized_relu": _relu,
        "quantized_tanh": _tanh,
        "quantized_sigmoid": _sigmoid,
        "quantized_hswish": _hswish,
        "discrete_relu": _discrete_relu,
        **dict.fromkeys(("binary", "stochastic_binary", "bernoulli"), _binary),
        **dict.fromkeys(
            ("ternary", "stochastic_ternary", "quantized_po2", "quantized_relu_po2", "quantized_ulaw"), _steps
        ),
    }
)


def rounds(spec: Any) -> str | None:
    """Why values may differ in the last code from Keras'; None: they are the same."""
    if getattr(spec, "use_real_tanh", False) or getattr(spec, "use_real_sigmoid", False):
        real = spec.kind in ("quantized_tanh", "quantized_sigmoid")
        return f"{spec} follows a function that every runtime rounds in its own way" if real else None
    return None


# ---- functions -------------------------------------------------------------------------------------------------------


def _node(op_type: str, **attributes: Any) -> Writer:
    return lambda graph, label, x: graph.add(op_type, label, [x], **attributes)


def rectifier(slope: float = 0.0, top: float | None = None, threshold: float = 0.0) -> Writer:
    """Keras' ReLU: x above the threshold, at most `top`, and slope * (x - threshold) below."""

    def write(graph: OnnxGraph, label: str, x: str) -> str:
        if threshold:
            return _with_threshold(graph, label, x, slope, top, threshold)
        y = _node("LeakyRelu", alpha=slope)(graph, label, x) if slope else _node("Relu")(graph, label, x)
        return y if top is None else graph.clipped(label, y, None, float(top))

    return write


def _with_threshold(
    graph: OnnxGraph, label: str, x: str, slope: float, top: float | None, threshold: float
) -> str:
    border = graph.constant(label, threshold)
    above = x if top is None else graph.clipped(label, x, 0.0, float(top))
    below = graph.scaled(label, graph.add("Sub", label, [x, border]), slope)
    return graph.add("Where", label, [graph.add("Greater", label, [x, border]), above, below])


def _silu(graph: OnnxGraph, label: str, x: str) -> str:
    return graph.add("Mul", label, [x, graph.add("Sigmoid", label, [x])])


#: Keras' name of a function -> what writes it.
FUNCTIONS: Final[Mapping[str, Writer]] = MappingProxyType(
    {
        "linear": lambda graph, label, x: x,
        "relu": rectifier(),
        "relu6": rectifier(top=6.0),
        "leaky_relu": rectifier(0.2),
        "elu": _node("Elu"),
        "selu": _node("Selu"),
        "celu": _node("Celu"),
        "silu": _silu,
        "swish": _silu,
        "sigmoid": _node("Sigmoid"),
        "tanh": _node("Tanh"),
        "softplus": _node("Softplus"),
        "softsign": _node("Softsign"),
        "softmax": _node("Softmax", axis=-1),
        "log_softmax": _node("LogSoftmax", axis=-1),
        "exponential": _node("Exp"),
        "hard_sigmoid": _node("HardSigmoid", alpha=1.0 / 6.0, beta=0.5),
    }
)

#: Functions that every runtime computes to the last bit as Keras does.
EXACT: Final = frozenset({"linear", "relu", "relu6"})
