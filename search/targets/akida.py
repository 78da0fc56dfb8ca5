"""BrainChip's Akida 1: 2-, 4- and 8-bit symmetric weights, 1-, 2- and 4-bit activations, a fixed order of layers.

The first layer reads 8-bit numbers. Order: convolution or dense, then batch
normalization, then pooling, then activation, each of the three at most once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from costmodel.layer import Layer
from costmodel.layer_classes import INPUT
from quantization.specs.parse import QuantizerSpec
from search.targets.base import Graph, QuantizedTensor, SlotRule, Target, function_of, is_softmax, symmetric

WEIGHT_BITS: Final = frozenset({2, 4, 8})
ACTIVATION_BITS: Final = frozenset({1, 2, 4})
INPUT_BITS: Final = 8

_NEURAL: Final = frozenset({"Dense", "Conv2D", "DepthwiseConv2D", "SeparableConv2D"})
_POOLINGS: Final = frozenset({"MaxPooling2D", "GlobalAveragePooling2D"})
_ACTIVATIONS: Final = frozenset({"Activation", "ReLU"})
#: Place of each class in a block.
_STAGES: Final = (
    dict.fromkeys(_NEURAL, 0)
    | {"BatchNormalization": 1}
    | dict.fromkeys(_POOLINGS, 2)
    | dict.fromkeys(_ACTIVATIONS, 3)
)
#: Quantizers whose codes are symmetric about zero: cnn2snn's, and the linear ones with symmetric=True.
_WEIGHTS: Final = frozenset(
    {
        "std",
        "std_per_axis",
        "trainable_std",
        "max",
        "max_per_axis",
        "scale_factor",
        "quantized_bits",
        "quantized_linear",
    }
)


def _scalar_for_depthwise(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """A depthwise kernel has one factor."""
    arguments: Any = quantizer
    if tensor.layer.class_name not in ("DepthwiseConv2D", "SeparableConv2D"):
        return None
    if quantizer.kind == "scale_factor" and isinstance(arguments.scale_factors, tuple):
        return "a depthwise kernel takes one scale factor"
    if quantizer.kind in ("quantized_bits", "quantized_linear") and isinstance(arguments.alpha, str | tuple):
        return "a depthwise kernel takes one scale factor: give alpha as a number"
    return None


def _plain_relu(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    arguments: Any = quantizer
    if quantizer.kind == "quantized_relu" and (arguments.negative_slope or arguments.use_sigmoid):
        return "only a plain ReLU: no negative_slope, no use_sigmoid"
    if quantizer.kind == "quantized_bits" and arguments.keep_negative:
        return "activations are unsigned: keep_negative=False is needed"
    return None


def _activation_bits(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """The input has 8 bits, everything behind it fewer."""
    if tensor.reads_input and tensor.layer.class_name in _ACTIVATIONS:
        return None if quantizer.bits == INPUT_BITS else f"the input of the first layer has {INPUT_BITS} bits"
    if quantizer.bits in ACTIVATION_BITS:
        return None
    return f"activations have {', '.join(map(str, sorted(ACTIVATION_BITS)))} bits, not {quantizer.bits}"


def _one_chain(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.network.layers:
        if len(graph.after(layer)) > 1:
            yield layer.name, "its output is read by more than one layer; Akida runs a chain"


def _order(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        stage = _STAGES.get(layer.class_name)
        before = graph.before(layer)
        if stage in (None, 0) or is_softmax(layer):
            continue
        came = _STAGES.get(before.class_name)
        if before.class_name == INPUT and stage == 3:
            continue
        if came is None or came >= stage:
            yield (
                layer.name,
                f"{layer.class_name} follows {before.class_name} {before.name!r}; the order is convolution or dense,"
                " batch normalization, pooling, activation",
            )
        elif _activates(before):
            yield (
                layer.name,
                f"{layer.class_name} follows the activation inside {before.name!r}; it must come before",
            )


def _activates(layer: Layer) -> bool:
    return layer.class_name in _NEURAL and function_of(layer) != "linear"


def _every_block_ends_in_an_activation(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.class_name not in _NEURAL or _activates(layer):
            continue
        end = _end_of_block(graph, layer)
        following = graph.after(end)
        activated = any(_STAGES.get(reader.class_name) == 3 for reader in following)
        separable = layer.class_name == "DepthwiseConv2D" and any(map(_is_pointwise, following))
        if not (activated or separable or graph.is_output(end)):
            yield layer.name, "no activation follows before the next layer with weights"


def _end_of_block(graph: Graph, layer: Layer) -> Layer:
    """The last of a layer, its normalization and its pooling."""
    following = graph.after(layer)
    if len(following) == 1 and _STAGES.get(following[0].class_name) in (1, 2):
        return _end_of_block(graph, following[0])
    return layer


def _separable(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.class_name == "DepthwiseConv2D" and not any(map(_is_pointwise, graph.after(layer))):
            yield layer.name, "a depthwise convolution must be followed by its pointwise one, a Conv2D of 1x1"
        if (
            layer.class_name in ("DepthwiseConv2D", "SeparableConv2D")
            and layer.config.get("depth_multiplier", 1) != 1
        ):
            yield layer.name, "depth_multiplier must be 1"


def _is_pointwise(layer: Layer) -> bool:
    size: Any = layer.config.get("kernel_size")
    lengths = size if isinstance(size, list | tuple) else (size,)
    return layer.class_name == "Conv2D" and all(length == 1 for length in lengths)


def _functions(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        function = function_of(layer)
        if function == "relu" or (function == "softmax" and graph.is_output(layer)):
            continue
        if function == "linear" and (
            layer.class_name not in _ACTIVATIONS or graph.before(layer).class_name == INPUT
        ):
            continue
        yield layer.name, f"activation {function!r}; only relu, and softmax at the output, exist"


def _no_layer_of_biases(graph: Graph) -> Iterator[tuple[str, str]]:
    """A normalization that has no kernel before it would only scale and shift."""
    for layer in graph.layers:
        if layer.class_name == "BatchNormalization" and graph.before(layer).class_name == INPUT:
            yield layer.name, "a layer without a kernel that only adds a bias does not exist"


_GRID: Final = SlotRule(
    frozenset({"discrete_relu", "quantized_relu", "quantized_bits"}), None, (_plain_relu, _activation_bits)
)

AKIDA: Final = Target(
    name="akida",
    description="BrainChip Akida 1: weights of 2, 4 or 8 bits, activations of 1, 2 or 4, one chain of blocks.",
    layers=_NEURAL | _POOLINGS | _ACTIVATIONS | {"BatchNormalization", "Softmax", "Flatten", "Reshape"},
    slots={
        "kernel": SlotRule(_WEIGHTS, WEIGHT_BITS, (symmetric, _scalar_for_depthwise)),
        "activation": _GRID,
    },
    rules=(
        _one_chain,
        _order,
        _every_block_ends_in_an_activation,
        _separable,
        _functions,
        _no_layer_of_biases,
    ),
    needs=frozenset({"kernel", "activation"}),
)
