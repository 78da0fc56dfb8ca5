"""QKeras (qkeras-v3): activation quantizers that compute the same there. Plain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from costmodel.layer_classes import LAYER_CLASSES, unwrapped
from quantization.export.legality.base import Graph, Legality, QuantizedTensor, SlotRule
from quantization.specs.parse import QuantizerSpec

_POWERS: Final = frozenset({"quantized_po2", "quantized_relu_po2"})
#: Kinds of activations, and the class of qkeras that computes each at inference.
ACTIVATIONS: Final = {
    "quantized_bits": "quantized_bits",
    "quantized_linear": "quantized_linear",
    "quantized_relu": "quantized_relu",
    "quantized_tanh": "quantized_tanh",
    "quantized_sigmoid": "quantized_sigmoid",
    "quantized_ulaw": "quantized_ulaw",
    "quantized_po2": "quantized_po2",
    "quantized_relu_po2": "quantized_relu_po2",
    "binary": "binary",
    "stochastic_binary": "binary",
    "bernoulli": "binary",
    "ternary": "ternary",
    "stochastic_ternary": "ternary",
}


def activation_fault(spec: Any) -> str | None:
    """Why qkeras does not compute a quantizer of activations as fewbits does, and what to use; None: it does."""
    if getattr(spec, "qnoise_factor", 1.0) != 1.0:
        return "it lets part of the float values pass; use qnoise_factor=1.0"
    if isinstance(getattr(spec, "alpha", None), str | tuple):
        return f"alpha={spec.alpha!r} depends on the data or the channel; give a number"
    if spec.kind in _POWERS and not spec.follows_reference:
        return "qkeras has more exponents; use reference_exponents=1"
    if spec.kind == "quantized_relu_po2":
        return "qkeras has no zero; use quantized_relu or quantized_po2"
    if spec.kind == "quantized_relu":
        return _relu_fault(spec)
    return None


def _relu_fault(spec: Any) -> str | None:
    codes = 2.0 ** (spec.bits - (spec.negative_slope != 0))
    depth = spec.negative_slope * codes
    if depth != int(depth):
        return f"qkeras keeps a fraction of a code below zero; use a slope of at least {1 / codes:g}"
    if spec.relu_upper_bound is not None and not spec.is_quantized_clip:
        return "qkeras does not save relu_upper_bound; leave it out"
    return None


def _activation(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    if tensor.field == "state":
        return "states are not quantized by Keras' layers; leave the slot out"
    return activation_fault(quantizer)


def own_layers(graph: Graph) -> Iterator[tuple[str, str]]:
    """Layers that Keras does not have."""
    for layer in graph.layers:
        name, config = unwrapped(layer.class_name, layer.config)
        if name == "Shiftmax" or config.get("shiftmax"):
            yield layer.name, "a softmax by shifts is fewbits' own; use Softmax"


def _causal(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.class_name == "Conv1D" and layer.config.get("padding") == "causal":
            yield (
                layer.name,
                "qkeras' QConv1D has no padding='causal'; put ZeroPadding1D before padding='valid'",
            )


QKERAS: Final = Legality(
    layers=frozenset(name for name, row in LAYER_CLASSES.items() if row.keras),
    slots={"activation": SlotRule(frozenset(ACTIVATIONS), None, (_activation,))},
    rules=(own_layers, _causal),
)
