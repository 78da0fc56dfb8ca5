"""Integers: what runs with integer arithmetic alone, for the formats `integers` and `c`.

`tests/exports/test_integers.py` compares the table with what `quantization.integer` builds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from costmodel.layer import Layer
from costmodel.layer_classes import unwrapped
from quantization.export.legality.base import (
    Graph,
    Legality,
    QuantizedTensor,
    SlotRule,
    function_of,
)
from quantization.export.legality.rules import (
    one_input,
    one_number,
    power_of_two_steps,
    read_through,
    whole,
)
from quantization.specs.parse import QuantizerSpec

_RANKED: Final = ("AveragePooling", "GlobalAveragePooling", "MaxPooling", "GlobalMaxPooling")
_MOVING: Final = ("ZeroPadding", "Cropping", "UpSampling")
#: Recurrent layers, whose time steps are written one after the other, and how many at most.
LOOPS: Final = frozenset({"SimpleRNN", "LSTM", "GRU", "Bidirectional"})
MOST_TIME_STEPS: Final = 128
#: Classes with an integer form.
LAYERS: Final = frozenset(
    {
        *("Dense", "Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D"),
        *("SeparableConv1D", "SeparableConv2D"),
        *("Conv1DTranspose", "Conv2DTranspose"),
        *(f"{name}{rank}D" for name in (*_RANKED, *_MOVING) for rank in (1, 2, 3)),
        *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax", "BatchNormalization"),
        *LOOPS,
        *("Add", "Average", "Concatenate", "Maximum", "Minimum", "Multiply", "Subtract"),
        *("Flatten", "Permute", "RepeatVector", "Reshape"),
    }
)
#: Functions that integers compute without a quantizer: straight above and below a bend.
STRAIGHT: Final = frozenset({"linear", "relu", "relu6", "leaky_relu", "prelu"})
#: Kinds of quantizers of activations whose levels integers hold.
ACTIVATIONS: Final = frozenset(
    {
        *("quantized_bits", "quantized_linear", "quantized_relu", "quantized_tanh", "quantized_sigmoid"),
        *("binary", "ternary", "stochastic_ternary", "stochastic_binary", "bernoulli"),
        *("quantized_po2", "quantized_relu_po2", "quantized_ulaw"),
    }
)


def _signs(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """What makes codes of floats: a grid, or thresholds."""
    arguments: Any = quantizer
    if quantizer.kind == "quantized_bits" and quantizer.bits == 1 and arguments.keep_negative:
        return "signs of an input are not written; use 2 bits"
    if quantizer.kind == "quantized_relu" and (arguments.negative_slope or arguments.use_sigmoid):
        return "an input is read by a plain grid: no negative_slope, no use_sigmoid"
    return None


def _channels_last(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.config.get("data_format") == "channels_first":
            yield layer.name, "channels_first; use channels_last"


def _options(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        rank = len(layer.input_shapes[0])
        axis = layer.config.get("axis", -1)
        axis = axis[0] if isinstance(axis, list | tuple) else axis
        if layer.class_name == "BatchNormalization" and axis not in (-1, rank):
            yield layer.name, f"axis={axis}; only the last one is normalized"
        if (
            layer.class_name.startswith("UpSampling")
            and layer.config.get("interpolation", "nearest") != "nearest"
        ):
            yield layer.name, f"interpolation={layer.config['interpolation']!r}; use 'nearest'"
        if layer.class_name.startswith("AveragePooling") and _averages_padding(layer):
            yield layer.name, "an average over padding; use padding='valid'"


def _loops(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.class_name not in LOOPS:
            continue
        if layer.input_shapes[0][0] > MOST_TIME_STEPS:
            yield (
                layer.name,
                f"a series of {layer.input_shapes[0][0]} steps, which are written one after the other; at most"
                f" {MOST_TIME_STEPS} are",
            )
        _, config = unwrapped(layer.class_name, layer.config)
        for name in ("return_state", "stateful"):
            if config.get(name, False):
                yield layer.name, f"{name}=True; use {name}=False"


def _transposed(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.config.get("output_padding") is not None:
            yield layer.name, f"output_padding={layer.config['output_padding']}; leave it out"


def _averages_padding(layer: Layer) -> bool:
    """Whether a window of an average reaches beyond the input."""
    if layer.config.get("padding", "valid") == "valid":
        return False
    lengths = layer.input_shapes[0][:-1]
    sizes = _per_axis(layer.config.get("pool_size", 2), len(lengths))
    strides = _per_axis(layer.config.get("strides") or sizes, len(lengths))
    return any(
        (math.ceil(length / stride) - 1) * stride + size > length
        for length, size, stride in zip(lengths, sizes, strides, strict=True)
    )


def _per_axis(value: Any, count: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, list | tuple) else (int(value),) * count


def _softmax_at_the_end(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if function_of(layer) == "softmax" and not graph.is_output(layer):
            yield layer.name, "a softmax before the end; only the output's is left out"


def _one_output(graph: Graph) -> Iterator[tuple[str, str]]:
    for name in graph.network.outputs[1:]:
        yield name, "a second output; a network with one is needed"


_ELSEWHERE: Final = "export it as keras, keras_plain or qkeras"
_STATISTICS: Final = (
    f"divides by a root of each input's own statistics, which integers do not give exactly; {_ELSEWHERE}"
)
#: Classes that a user might expect -> why they have no integer form.
_REASONS: Final = {
    "MultiHeadAttention": "MultiHeadAttention has a softmax of floats between its products, whose numbers integers do"
    f" not give exactly; {_ELSEWHERE}",
    **{
        name: f"{name} {_STATISTICS}"
        for name in (*("LayerNormalization", "GroupNormalization", "RMSNormalization", "UnitNormalization"),)
    },
    **{
        name: f"{name} is a step of floats before the first quantizer; leave it to what prepares the inputs, or"
        f" {_ELSEWHERE}"
        for name in ("Normalization", "Rescaling", "Resizing", "CenterCrop")
    },
    "Embedding": f"Embedding reads whole numbers as words, not codes of a quantizer; {_ELSEWHERE} or hls4ml",
}
#: What a step needs so that it has as many bits as the one before.
_IN_A_LOOP: Final = frozenset(
    {"kernel", "recurrent_kernel", "bias", "activation", "recurrent_activation", "state"}
)
_WEIGHTS: Final = SlotRule(None, None, (whole,))
_FUNCTION: Final = SlotRule(ACTIVATIONS, None, (one_number, whole, power_of_two_steps))
_INPUT: Final = SlotRule(
    ACTIVATIONS - {"quantized_sigmoid", "binary"},
    None,
    (one_number, whole, power_of_two_steps, _signs),
)

INTEGERS: Final = Legality(
    layers=LAYERS,
    reasons=_REASONS,
    slots={"kernel": _WEIGHTS, "bias": _WEIGHTS, "activation": _FUNCTION, "input": _INPUT},
    inputs=(read_through(_INPUT),),
    rules=(_channels_last, _options, _loops, _transposed, _softmax_at_the_end, one_input, _one_output),
    needs=frozenset({"kernel", "bias", "activation"}),
    ends=frozenset({"softmax", "sigmoid"}),
    required={
        **dict.fromkeys(LOOPS, _IN_A_LOOP),
        "SimpleRNN": _IN_A_LOOP - {"state"},
        "PReLU": frozenset({"alpha"}),
    },
    float_functions=STRAIGHT,
)
