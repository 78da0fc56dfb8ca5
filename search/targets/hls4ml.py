"""hls4ml: networks compiled to FPGAs. What its Keras and QKeras converters read (hls4ml 1.x, converters/keras)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from quantization.specs.parse import QuantizerSpec
from search.targets.base import (
    WEIGHTED,
    Graph,
    QuantizedTensor,
    SlotRule,
    Target,
    function_of,
    power_of_two_alpha,
)

#: Layers whose QKeras twin has a converter.
_QUANTIZED: Final = frozenset({"Dense", "Conv1D", "Conv2D", "DepthwiseConv2D"})
_PLAIN: Final = frozenset(
    {
        "Activation",
        "Add",
        "Average",
        "AveragePooling1D",
        "AveragePooling2D",
        "BatchNormalization",
        "Concatenate",
        "Dot",
        "ELU",
        "Embedding",
        "Flatten",
        "GlobalAveragePooling1D",
        "GlobalAveragePooling2D",
        "GlobalMaxPooling1D",
        "GlobalMaxPooling2D",
        "LeakyReLU",
        "MaxPooling1D",
        "MaxPooling2D",
        "Maximum",
        "Minimum",
        "Multiply",
        "PReLU",
        "Permute",
        "ReLU",
        "Reshape",
        "SeparableConv1D",
        "SeparableConv2D",
        "Softmax",
        "Subtract",
        "UpSampling1D",
        "UpSampling2D",
        "ZeroPadding1D",
        "ZeroPadding2D",
        "DepthwiseConv1D",
    }
)
_FUNCTIONS: Final = frozenset(
    {"linear", "relu", "softmax", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign", "hard_sigmoid"}
)
_WEIGHTS: Final = frozenset(
    {"quantized_bits", "binary", "ternary", "stochastic_binary", "stochastic_ternary", "quantized_po2"}
)
_ACTIVATIONS: Final = frozenset(
    {"quantized_relu", "quantized_tanh", "quantized_sigmoid", "quantized_bits", "binary", "ternary"}
)


def _has_a_converter(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    if tensor.layer.class_name in WEIGHTED - _QUANTIZED:
        return f"a quantized {tensor.layer.class_name} is not converted; {', '.join(sorted(_QUANTIZED))} are"
    return None


def _number_or_none(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """The range of an activation is fixed when the circuit is made."""
    alpha: Any = getattr(quantizer, "alpha", None)
    return None if not isinstance(alpha, str) else f"alpha={alpha!r} depends on the data; give a number"


def _plain_relu(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    arguments: Any = quantizer
    if quantizer.kind == "quantized_relu" and (arguments.negative_slope or arguments.use_sigmoid):
        return "only a plain ReLU: no negative_slope, no use_sigmoid"
    return None


def _functions(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if function_of(layer) not in _FUNCTIONS:
            yield (
                layer.name,
                f"activation {function_of(layer)!r}; {', '.join(sorted(_FUNCTIONS))} are converted",
            )


def _channels_last(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.config.get("data_format") == "channels_first":
            yield layer.name, "channels_first; use channels_last"


_WEIGHT_RULE: Final = SlotRule(_WEIGHTS, None, (power_of_two_alpha, _has_a_converter))
_ACTIVATION_RULE: Final = SlotRule(_ACTIVATIONS, None, (_number_or_none, _plain_relu))

HLS4ML: Final = Target(
    name="hls4ml",
    description="Networks compiled to FPGAs by hls4ml: what its Keras and QKeras converters read.",
    layers=_QUANTIZED | _PLAIN,
    slots={
        "kernel": _WEIGHT_RULE,
        "bias": _WEIGHT_RULE,
        "activation": _ACTIVATION_RULE,
    },
    rules=(_functions, _channels_last),
)
