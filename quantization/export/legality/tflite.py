"""LiteRT with 8-bit integers: layers and quantizers that its operators compute. Plain."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from quantization.export.legality.base import (
    Graph,
    Legality,
    QuantizedTensor,
    SlotRule,
    function_of,
)
from quantization.export.legality.rules import one_input, whole
from quantization.specs.parse import QuantizerSpec

_LAYERS: Final = frozenset(
    {
        *("Activation", "Add", "AveragePooling2D", "Concatenate", "Conv1D", "Conv2D", "Dense"),
        *("DepthwiseConv2D", "Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "MaxPooling2D"),
        *("Multiply", "ReLU", "Reshape", "Softmax", "Subtract", "ZeroPadding2D"),
    }
)
#: Kinds of weights with codes of at most 8 bits.
_WEIGHTS: Final = frozenset(
    {
        *(
            "quantized_bits",
            "quantized_linear",
            "binary",
            "ternary",
            "stochastic_binary",
            "stochastic_ternary",
        ),
        *("bernoulli", "std", "std_per_axis", "trainable_std", "max", "max_per_axis", "scale_factor"),
    }
)
_ACTIVATIONS: Final = frozenset({"quantized_bits", "quantized_linear", "quantized_relu", "quantized_tanh"})
_MOST_BITS: Final = 8


def weight_fault(spec: Any) -> str | None:
    """Why weights of a quantizer are not written, and what to use; None: they are."""
    if spec.bits > _MOST_BITS:
        return f"weights have at most {_MOST_BITS} bits"
    whole = spec.bits == _MOST_BITS and spec.kind in ("quantized_bits", "quantized_linear")
    if whole and not (spec.symmetric or isinstance(spec.alpha, str)):
        return "LiteRT has no code -128 for weights; use symmetric=True or 7 bits"
    if whole and not spec.keep_negative:
        return "weights are signed: 8 bits without a sign do not fit; use 7 bits or keep_negative=True"
    return None


def activation_fault(spec: Any) -> str | None:
    """Why activations of a quantizer are not written, and what to use; None: they are."""
    if spec.bits > _MOST_BITS:
        return f"activations have at most {_MOST_BITS} bits"
    if getattr(spec, "qnoise_factor", 1.0) != 1.0:
        return "it lets part of the float values pass; use qnoise_factor=1.0"
    alpha = getattr(spec, "alpha", None)
    if isinstance(alpha, str | tuple):
        return f"alpha={alpha!r} depends on the data or the channel; give a number"
    if spec.bits == 1 and getattr(spec, "keep_negative", False):
        return "signs are not written; use at least 2 bits"
    if spec.kind == "quantized_relu" and (spec.negative_slope or spec.use_sigmoid or spec.compat):
        return "only a plain ReLU is written: no negative_slope, no use_sigmoid"
    if spec.kind == "quantized_tanh" and spec.use_real_tanh:
        return "only the hard form is written: use_real_tanh=False"
    return None


def _weight(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    return weight_fault(quantizer)


def _activation(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    return activation_fault(quantizer)


def _functions(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        function = function_of(layer)
        if function in ("softmax", "sigmoid") and graph.is_output(layer):
            continue
        if function not in ("linear", "relu", "tanh"):
            yield layer.name, f"activation {function!r}; linear and relu are written, and quantized tanh"


def _options(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        config: dict[str, Any] = dict(layer.config)
        if config.get("data_format") == "channels_first":
            yield layer.name, "channels_first; use channels_last"
        if config.get("groups", 1) != 1:
            yield layer.name, f"groups={config['groups']}; use 1"
        if config.get("padding") == "causal":
            yield layer.name, "padding='causal'; use 'same' or 'valid'"


def _shapes(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.class_name == "Dense" and math.prod(layer.input_shapes[0][:-1]) != 1:
            yield (
                layer.name,
                f"it reads {layer.input_shapes[0]}; a dense layer reads a row: put Flatten before it",
            )


TFLITE: Final = Legality(
    layers=_LAYERS,
    slots={
        "bias": SlotRule(None, None, (whole,)),
        "kernel": SlotRule(_WEIGHTS, None, (_weight, whole)),
        "activation": SlotRule(_ACTIVATIONS, None, (_activation,)),
    },
    rules=(_functions, _options, _shapes, one_input),
    needs=frozenset({"kernel"}),
    ends=frozenset({"softmax", "sigmoid"}),
)
