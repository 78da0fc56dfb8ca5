"""BrainChip's Akida 1: 2-, 4- and 8-bit symmetric weights, 1-, 2- and 4-bit activations, a fixed order of layers.

The first layer reads 8-bit numbers. `tests/truth/test_targets.py` compares the rules with cnn2snn's conversion.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from costmodel.layer import Layer
from costmodel.layer_classes import INPUT
from quantization.export.legality.akd1000 import IMAGE_CHANNELS, akd1000
from quantization.export.legality.base import (
    Candidates,
    Graph,
    Legality,
    NetworkInput,
    QuantizedTensor,
    SlotRule,
    function_of,
    is_softmax,
)
from quantization.export.legality.rules import one_input, one_number, read_through, symmetric, unsigned, whole
from quantization.specs.parse import QuantizerSpec

WEIGHT_BITS: Final = frozenset({2, 4, 8})
FIRST_BITS: Final = frozenset(range(2, 9))
SEPARABLE_BITS: Final = frozenset({2, 4})
ACTIVATION_BITS: Final = frozenset({1, 2, 4})
INPUT_BITS: Final = frozenset(range(1, 9))
#: Of two kernels, which have the same width.
ONE_WIDTH: Final = frozenset({"SeparableConv2D"})

#: Functions that the conversion leaves out at the output: they do not change which number is the largest.
_ENDS: Final = frozenset({"softmax", "sigmoid"})
NEURAL: Final = frozenset({"Dense", "Conv2D", "SeparableConv2D"})
_POOLINGS: Final = frozenset({"MaxPooling2D", "GlobalAveragePooling2D"})
_ACTIVATIONS: Final = frozenset({"Activation", "ReLU"})
#: Letter of each class that may follow one with weights, and the orders in which they may, up to the next one.
_LETTERS: Final = {
    "BatchNormalization": "B",
    "MaxPooling2D": "M",
    "GlobalAveragePooling2D": "G",
} | dict.fromkeys(_ACTIVATIONS, "A")
_ORDERS: Final = frozenset(
    order[:length] for order in ("BMA", "BGA", "MBA", "GBA", "BAM") for length in range(len(order) + 1)
) | {"A", "AM", "MA", "GA", "BA"}
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


def _weight_bits(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """The convolution that reads an image has a unit of its own, which takes any width."""
    shape = tensor.layer.input_shapes[0]
    is_first = tensor.reads_input and tensor.layer.class_name == "Conv2D" and shape[-1] in IMAGE_CHANNELS
    allowed = FIRST_BITS if is_first else WEIGHT_BITS
    if tensor.layer.class_name in ONE_WIDTH:
        allowed = SEPARABLE_BITS
    if quantizer.bits in allowed:
        return None
    return f"weights have {', '.join(map(str, sorted(allowed)))} bits, not {quantizer.bits}"


def _scalar_for_depthwise(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """A depthwise kernel has one factor."""
    arguments: Any = quantizer
    if tensor.layer.class_name != "SeparableConv2D":
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
    """What reads the input makes its codes (`_input_codes`); everything behind it has fewer bits."""
    is_input = tensor.reads_input and tensor.layer.class_name in _ACTIVATIONS
    allowed = INPUT_BITS if is_input else ACTIVATION_BITS
    if quantizer.bits in allowed:
        return None
    return f"activations have {', '.join(map(str, sorted(allowed)))} bits, not {quantizer.bits}"


def _input_codes(read: NetworkInput) -> Iterator[tuple[str, str]]:
    """Codes of at most 8 bits where a convolution reads an image, and of at most 4 elsewhere."""
    if read.quantized:
        for layer in read.readers:
            if layer.class_name in _ACTIVATIONS and read.candidates.get(layer.name, {}).get("activation"):
                yield (
                    layer.name,
                    "the input has a quantizer, and so has this function of it: leave out one of them",
                )
    first = next((layer for layer in read.graph.layers if layer.class_name in NEURAL), None)
    is_wide = first is None or _is_image(first.input_shapes[0])  # who reads an image is a rule of its own
    for quantizer in read.quantizers:
        if quantizer is None:
            yield (
                read.name,
                "it must be quantized to at most 8 bits without a sign: quantized_bits(8,0,keep_negative=0)",
            )
        elif first is not None and not is_wide and quantizer.bits > max(ACTIVATION_BITS):
            yield (
                read.name,
                f"{first.class_name} {first.name!r} reads it, with codes of at most 4 bits, not {quantizer}: quantize"
                " the input with quantized_bits(4,0,keep_negative=0), or read an image of 1 or 3 channels by a Conv2D",
            )


def _is_image(shape: tuple[int, ...]) -> bool:
    """Of 8-bit numbers in one or three channels, which a convolution of its own kind reads."""
    return len(shape) == 3 and shape[-1] in IMAGE_CHANNELS


def _one_chain(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.network.layers:
        if len(graph.after(layer)) > 1:
            yield layer.name, "its output is read by more than one layer; Akida runs a chain"


def _order(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        letter = _LETTERS.get(layer.class_name)
        before = graph.before(layer)
        if letter is None or is_softmax(layer) or (before.class_name == INPUT and letter == "A"):
            continue
        block = _block_before(graph, layer)
        if block is None or block + letter not in _ORDERS:
            inside = f" and the activation inside {before.name!r}" if _activates(before) else ""
            yield (
                layer.name,
                f"{layer.class_name} follows {before.class_name} {before.name!r}{inside}; a layer with weights"
                " is followed by one batch normalization and one pooling at most, then by one activation; only"
                " max pooling may also come behind the activation",
            )


def _block_before(graph: Graph, layer: Layer) -> str | None:
    """The letters of what stands between a layer and the last one with weights; None if there is none."""
    letters = ""
    before = graph.before(layer)
    while before.class_name in _LETTERS:
        letters = _LETTERS[before.class_name] + letters
        before = graph.before(before)
    if before.class_name not in NEURAL:
        return None
    return "A" + letters if _activates(before) else letters


def _activates(layer: Layer) -> bool:
    return layer.class_name in NEURAL and function_of(layer) != "linear"


def _every_block_ends_in_an_activation(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.class_name not in NEURAL or _activates(layer):
            continue
        end = _end_of_block(graph, layer)
        following = graph.after(end)
        activated = any(reader.class_name in _ACTIVATIONS for reader in following)
        if not (activated or graph.is_output(end)):
            yield layer.name, "no activation follows before the next layer with weights"


def _end_of_block(graph: Graph, layer: Layer) -> Layer:
    """The last of a layer, its normalization and its pooling."""
    following = graph.after(layer)
    if len(following) == 1 and _LETTERS.get(following[0].class_name, "A") != "A":
        return _end_of_block(graph, following[0])
    return layer


def _separable(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.class_name == "SeparableConv2D" and layer.config.get("depth_multiplier", 1) != 1:
            yield layer.name, "depth_multiplier must be 1"


def _separable_widths(graph: Graph, candidates: Candidates) -> Iterator[tuple[str, str]]:
    """The two kernels of a separable convolution have one width."""
    for layer in graph.layers:
        slots = candidates.get(layer.name, {}) if layer.class_name in ONE_WIDTH else {}
        widths = [
            {quantizer.bits for quantizer in slots.get(slot, ())} for slot in ("kernel", "pointwise_kernel")
        ]
        if all(widths) and len(widths[0] | widths[1]) > 1:
            yield (
                layer.name,
                "kernel and pointwise_kernel have one width: list quantizers of 4 bits alone, or of 2",
            )


def _functions(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        function = function_of(layer)
        if function == "relu" or (function in _ENDS and graph.is_output(layer)):
            continue
        if function == "linear" and (
            layer.class_name not in _ACTIVATIONS or graph.before(layer).class_name == INPUT
        ):
            continue
        yield (
            layer.name,
            f"activation {function!r}; only relu exists, and at the output softmax or sigmoid, which is left out",
        )


def _no_layer_of_biases(graph: Graph) -> Iterator[tuple[str, str]]:
    """A normalization that has no kernel before it would only scale and shift."""
    for layer in graph.layers:
        if layer.class_name == "BatchNormalization" and graph.before(layer).class_name == INPUT:
            yield layer.name, "a layer without a kernel that only adds a bias does not exist"


def _options(graph: Graph) -> Iterator[tuple[str, str]]:
    """Options that exist neither for Akida's layers nor for the conversion."""
    for layer in graph.layers:
        for name in ("dilation_rate", "groups"):
            if any(number != 1 for number in _numbers(layer.config.get(name, 1))):
                yield layer.name, f"{name}={layer.config[name]}; use 1"
        if any(size % 2 == 0 for size in _numbers(layer.config.get("kernel_size", 1))):
            yield layer.name, f"kernel_size={layer.config['kernel_size']}; Akida's kernels have odd sizes"
        if layer.class_name == "BatchNormalization" and layer.config.get("axis", -1) not in (
            -1,
            len(layer.input_shapes[0]),
        ):
            yield layer.name, f"axis={layer.config['axis']}; only the last axis is normalized"
        if layer.class_name == "MaxPooling2D":
            yield from _padding(graph, layer)


def _padding(graph: Graph, pooling: Layer) -> Iterator[tuple[str, str]]:
    """A max pooling belongs to its convolution, and has its padding."""
    before = graph.before(pooling)
    while before.class_name in _LETTERS:
        before = graph.before(before)
    padding, expected = (layer.config.get("padding", "valid") for layer in (pooling, before))
    if before.class_name in NEURAL and padding != expected:
        yield pooling.name, f"padding={padding!r} is not that of {before.name!r}, {expected!r}"


def _shapes(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.class_name == "Dense" and any(size != 1 for size in layer.input_shapes[0][:-1]):
            yield (
                layer.name,
                f"it reads {layer.input_shapes[0]}; a dense layer reads a row: put Flatten before it",
            )
    for layer in graph.network.layers:
        if layer.class_name == "Reshape" and not _is_row(layer):
            yield layer.name, "only (N,) and (1, 1, N) are reshaped into each other"


def _is_row(layer: Layer) -> bool:
    one, two = layer.input_shapes[0], layer.output_shape
    return one == two or all(math.prod(shape[:-1]) == 1 for shape in (one, two))


def _first_layer(graph: Graph) -> Iterator[tuple[str, str]]:
    """Images in one or three channels are read by a convolution of their own kind."""
    for layer in graph.layers:
        shape = layer.input_shapes[0]
        reads = graph.before(layer).class_name == INPUT and _is_image(shape)
        if reads and layer.class_name in NEURAL - {"Conv2D"}:
            yield layer.name, f"an image of {shape[-1]} channels is read by a Conv2D first"


def _numbers(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


_GRID: Final = SlotRule(
    frozenset({"discrete_relu", "quantized_relu", "quantized_bits"}),
    None,
    (_plain_relu, _activation_bits, whole),
)
#: Whole numbers are read, as an input's quantizer rounds them.
_INPUT: Final = SlotRule(
    frozenset({"quantized_bits", "quantized_linear", "quantized_relu"}),
    INPUT_BITS,
    (unsigned, one_number, whole),
)

AKIDA: Final = Legality(
    layers=NEURAL | _POOLINGS | _ACTIVATIONS | {"BatchNormalization", "Softmax", "Flatten", "Reshape"},
    reasons={
        "DepthwiseConv2D": "cnn2snn converts no DepthwiseConv2D for Akida 1; use a SeparableConv2D, which has its"
        " pointwise convolution in it"
    },
    slots={
        "kernel": SlotRule(_WEIGHTS, None, (_weight_bits, symmetric, _scalar_for_depthwise, whole)),
        "bias": SlotRule(None, None, (whole,)),
        "activation": _GRID,
        "input": _INPUT,
    },
    rules=(
        one_input,
        _one_chain,
        _order,
        _every_block_ends_in_an_activation,
        _separable,
        _functions,
        _no_layer_of_biases,
        _options,
        _shapes,
        _first_layer,
    ),
    choices=(_separable_widths,),
    one_width=ONE_WIDTH,
    chips=(akd1000,),
    inputs=(_input_codes, read_through(_INPUT)),
    unsigned_inputs=True,
    needs=frozenset({"kernel", "activation"}),
    left_out=frozenset({"Dropout"}),
    ends=_ENDS,
)
