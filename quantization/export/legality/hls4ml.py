"""hls4ml: networks compiled to FPGAs. What hls4ml 1.3.0 converts from Keras and QKeras, and computes as they do.

One table for the target of a search and for the export, which writes all of it.
`tests/truth/test_targets.py` compares the rules with what it does to small networks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from costmodel.layer_classes import unwrapped
from quantization.export.legality.base import (
    Graph,
    Legality,
    QuantizedTensor,
    SlotRule,
    function_of,
)
from quantization.export.legality.rules import one_number, power_of_two_steps, whole
from quantization.specs.parse import QuantizerSpec

_IDENTIFIER: Final = re.compile("[A-Za-z_][A-Za-z0-9_]*")

#: Layers whose QKeras twin has a converter.
_QUANTIZED: Final = frozenset(
    {"Dense", "Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"}
)
_RECURRENT: Final = frozenset({"LSTM", "GRU", "Bidirectional"})
_PLAIN: Final = frozenset(
    {
        "Activation",
        "Add",
        "Average",
        "AveragePooling1D",
        "AveragePooling2D",
        "BatchNormalization",
        "Concatenate",
        "Cropping1D",
        "Cropping2D",
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
    {
        "linear",
        "relu",
        "softmax",
        "sigmoid",
        "tanh",
        "elu",
        "selu",
        "leaky_relu",
        "softplus",
        "softsign",
        "hard_sigmoid",
    }
)
#: Layers that are a function of their own.
_FUNCTION_CLASSES: Final = frozenset({"LeakyReLU", "ELU", "PReLU", "Softmax"})
_BIASES: Final = frozenset({"quantized_bits", "binary", "ternary", "stochastic_binary", "stochastic_ternary"})
_KERNELS: Final = _BIASES | {"quantized_po2", "quantized_relu", "quantized_tanh", "quantized_ulaw"}
_ACTIVATIONS: Final = frozenset(
    {"quantized_relu", "quantized_tanh", "quantized_sigmoid", "quantized_bits", "binary"}
)


def _has_a_converter(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """Weights that stay float become numbers of hls4ml's own precision."""
    if tensor.layer.class_name not in _QUANTIZED:
        return f"a quantized {tensor.layer.class_name} is not converted; {', '.join(sorted(_QUANTIZED))} are"
    return None


def _outside_loops(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    if tensor.layer.class_name in _RECURRENT:
        return f"the functions of {tensor.layer.class_name} are not converted quantized; leave them float"
    return None


def _as_qkeras(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """Options that are read as if they were not there."""
    if getattr(quantizer, "use_01", False):
        return "use_01 is not converted; use quantized_relu(1,1)"
    if getattr(quantizer, "use_real_tanh", False):
        return "use_real_tanh is not computed as QKeras does; use quantized_tanh without it"
    if quantizer.kind == "quantized_relu" and _is_bounded(quantizer):
        return "relu_upper_bound is not converted without is_quantized_clip; leave it out"
    return None


def _is_bounded(quantizer: Any) -> bool:
    """Whether a ReLU has a bound beside that of its grid."""
    return quantizer.relu_upper_bound is not None and not quantizer.is_quantized_clip


def _names(graph: Graph) -> Iterator[tuple[str, str]]:
    """Names become variables and files of C++; "input" is a name of hls4ml's own."""
    for layer in graph.network.layers:
        if layer.name == "input":
            yield layer.name, "hls4ml keeps this name for itself; call the layer otherwise"
        elif not _IDENTIFIER.fullmatch(layer.name):
            yield layer.name, "its name must be one of C++: letters, digits and _, no digit first"


def _windows(graph: Graph) -> Iterator[tuple[str, str]]:
    """Options of convolutions that are read as if they were 1."""
    for layer in graph.layers:
        for name in ("dilation_rate", "groups", "depth_multiplier"):
            value: Any = layer.config.get(name, 1)
            if any(number != 1 for number in (value if isinstance(value, list | tuple) else (value,))):
                yield layer.name, f"{name}={value} is not converted; use 1"


def _merges(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if len(layer.inbound) > 2:
            yield layer.name, f"it merges {len(layer.inbound)} tensors; merge two at a time"
        if layer.class_name == "Dot" and len(layer.input_shapes[0]) > 1:
            yield layer.name, "only rows are multiplied by Dot, no sequences"
        if layer.class_name == "Dot" and layer.config.get("normalize", False):
            yield layer.name, "normalize=True is not converted; normalize before"


def _axes(graph: Graph) -> Iterator[tuple[str, str]]:
    """Axes of normalizations, slopes and softmax."""
    for layer in graph.layers:
        rank = len(layer.input_shapes[0])
        if layer.class_name == "BatchNormalization" and layer.config.get("axis", -1) not in (-1, rank):
            yield layer.name, f"axis={layer.config['axis']}; only the last axis is normalized"
        if layer.class_name == "Softmax" and layer.config.get("axis", -1) not in (-1, rank):
            yield layer.name, f"axis={layer.config['axis']} does not compile; only the last axis is converted"
        if layer.class_name == "PReLU" and layer.config.get("shared_axes"):
            yield layer.name, "shared_axes is not converted; leave it out"


def _recurrent(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.class_name in _RECURRENT:
            class_name, config = unwrapped(layer.class_name, layer.config)
            if class_name not in _RECURRENT:
                yield layer.name, f"{class_name} is not computed as Keras does; use LSTM or GRU"
            if not config.get("use_bias", True):
                yield layer.name, "it has no bias; use_bias=True is needed"
            if config.get("go_backwards", False):
                yield layer.name, "go_backwards=True is not converted; use False"
            if not config.get("reset_after", True):
                yield layer.name, "reset_after=False is not computed as Keras does; use True"


def _functions(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.class_name not in _FUNCTION_CLASSES and function_of(layer) not in _FUNCTIONS:
            yield (
                layer.name,
                f"activation {function_of(layer)!r}; {', '.join(sorted(_FUNCTIONS))} are converted",
            )


def _softmaxes(graph: Graph) -> Iterator[tuple[str, str]]:
    """A softmax layer does not compile, and the function is read from a table that its inputs leave."""
    for layer in graph.layers:
        if function_of(layer) == "softmax" and not graph.is_output(layer):
            yield (
                layer.name,
                "softmax inside a network is not computed as Keras does; use it at the output only",
            )


def _enlarged(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.config.get("interpolation", "nearest") != "nearest":
            yield layer.name, f"interpolation={layer.config['interpolation']!r}; use 'nearest'"


def _channels_last(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.config.get("data_format") == "channels_first":
            yield layer.name, "channels_first; use channels_last"


_KERNEL_RULE: Final = SlotRule(_KERNELS, None, (_has_a_converter, whole))
_ACTIVATION_RULE: Final = SlotRule(_ACTIVATIONS, None, (_outside_loops, one_number, whole, _as_qkeras))
#: The type of an input: any plain grid.
_INPUT_RULE: Final = SlotRule(
    _ACTIVATIONS | {"quantized_linear"}, None, (one_number, whole, power_of_two_steps, _as_qkeras)
)

HLS4ML: Final = Legality(
    layers=_QUANTIZED | _PLAIN | _RECURRENT,
    slots={
        "kernel": _KERNEL_RULE,
        "bias": SlotRule(_BIASES, None, (_has_a_converter, whole)),
        "activation": _ACTIVATION_RULE,
        "input": _INPUT_RULE,
    },
    rules=(_windows, _merges, _axes, _recurrent, _functions, _softmaxes, _enlarged, _channels_last),
    names=(_names,),
    left_out=frozenset({"Dropout"}),
)
