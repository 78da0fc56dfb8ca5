"""SynSense's Xylo: spiking populations, one fully connected layer each, with 8-bit weights.

A layer of units becomes a population of neurons, its activation the events of a step. Figures: Rockpool's overview of
the Xylo family, Xylo Audio 2: 16 inputs, 1000 hidden neurons, 8 readouts, up to 31 events of a hidden neuron a step, a
hidden neuron reaching 64 others. `tests/truth/test_targets.py` compares the rules with Rockpool's mapper.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from costmodel.layer import Layer
from costmodel.layer_classes import INPUT
from quantization.export.legality.base import (
    Graph,
    Legality,
    NetworkInput,
    QuantizedTensor,
    Refusal,
    SlotRule,
    function_of,
    is_softmax,
)
from quantization.export.legality.rules import one_input, one_number, unsigned, whole
from quantization.specs.parse import QuantizerSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_INPUTS: Final = 16
MAX_HIDDEN: Final = 1000
MAX_READOUTS: Final = 8
MAX_FANOUT: Final = 64
WEIGHT_BITS: Final = frozenset(range(1, 9))
#: 31 events a step are five bits.
EVENT_BITS: Final = frozenset(range(1, 6))
#: 15 events a step of an input are four bits.
INPUT_BITS: Final = frozenset(range(1, 5))

_FUNCTIONS: Final = frozenset({"relu"})


def _whole_events(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """Events are counted: never negative."""
    arguments: Any = quantizer
    if quantizer.kind == "binary" and not arguments.use_01:
        return "a neuron fires or not: use_01=True is needed"
    if quantizer.kind == "quantized_relu" and (arguments.negative_slope or arguments.use_sigmoid):
        return "events are never negative: no negative_slope, no use_sigmoid"
    return None


def population_refusals(inputs: int, hidden: int, readouts: int, fanout: int) -> list[Refusal]:
    """What a spiking network has too much of for one chip; `fanout`: most hidden neurons that one of them reaches."""
    counts = (
        ("inputs", inputs, MAX_INPUTS),
        ("hidden neurons", hidden, MAX_HIDDEN),
        ("readouts", readouts, MAX_READOUTS),
    )
    refusals = [
        Refusal(name, f"{count} {name}; Xylo has {most}") for name, count, most in counts if count > most
    ]
    if fanout > MAX_FANOUT:
        reason = f"a hidden neuron reaches {fanout} others; {MAX_FANOUT} can be: remove recurrent weights"
        refusals.append(Refusal("hidden neurons", reason))
    return refusals


def spiking_refusals(
    weights_in: NDArray[Any], weights_rec: NDArray[Any], weights_out: NDArray[Any]
) -> list[Refusal]:
    """As `population_refusals`, of a network's weights: recurrent ones of 0 reach nothing."""
    reached = (weights_rec != 0).any(axis=-1) if weights_rec.ndim > 2 else weights_rec != 0
    fanout = int(reached.sum(axis=1).max(initial=0))
    return population_refusals(weights_in.shape[0], weights_rec.shape[0], weights_out.shape[1], fanout)


def _populations(graph: Graph) -> list[Layer]:
    return [layer for layer in graph.layers if layer.class_name == "Dense"]


def _is_readout(graph: Graph, layer: Layer) -> bool:
    """Whether the events of a population, or its sums, leave the network."""
    following = graph.after(layer)
    fired = [reader for reader in following if function_of(reader) == "relu" and reader.class_name != "Dense"]
    return graph.is_output(layer) or any(graph.is_output(reader) for reader in fired)


def _sizes(graph: Graph) -> Iterator[tuple[str, str]]:
    dense = _populations(graph)
    hidden = [layer for layer in dense if not _is_readout(graph, layer)]
    for layer in dense:
        inputs, units = layer.input_shapes[0][-1], layer.output_shape[-1]
        if graph.before(layer).class_name == INPUT and math.prod(layer.input_shapes[0]) > MAX_INPUTS:
            yield layer.name, f"{math.prod(layer.input_shapes[0])} inputs; Xylo has {MAX_INPUTS}"
        elif graph.before(layer).class_name != INPUT and units > MAX_FANOUT:
            yield layer.name, f"each of its {inputs} sources would reach {units} neurons; {MAX_FANOUT} can be"
        if layer not in hidden and units > MAX_READOUTS:
            yield layer.name, f"{units} readouts; Xylo has {MAX_READOUTS}"
    if len(dense) == 1:
        yield (
            dense[0].name,
            "it is the only population; there must be hidden neurons and readouts: two Dense layers",
        )
    total = 0
    for layer in hidden:
        total += layer.output_shape[-1]
        if total > MAX_HIDDEN:
            yield layer.name, f"{total} hidden neurons up to here; Xylo has {MAX_HIDDEN}"


def _events_between_populations(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in _populations(graph):
        if function_of(layer) not in _FUNCTIONS | {"linear"} and not graph.is_output(layer):
            yield layer.name, f"activation {function_of(layer)!r}; neurons fire as a quantized relu"
        if function_of(layer) != "linear" or graph.is_output(layer):
            continue
        for reader in graph.after(layer):
            if function_of(reader) != "relu" or reader.class_name == "Dense":
                yield layer.name, f"{reader.name!r} reads it before it fires: a relu must come between"


def _only_fired_numbers(graph: Graph) -> Iterator[tuple[str, str]]:
    for layer in graph.layers:
        if layer.class_name in ("Activation", "ReLU") and not is_softmax(layer):
            if function_of(layer) not in _FUNCTIONS:
                yield layer.name, f"activation {function_of(layer)!r}; neurons fire as a quantized relu"
            elif graph.before(layer).class_name not in ("Dense", INPUT):
                yield (
                    layer.name,
                    f"fires after {graph.before(layer).class_name}; it must follow a Dense layer",
                )


_WEIGHTS: Final = SlotRule(
    frozenset(
        {"quantized_bits", "quantized_linear", "binary", "ternary", "stochastic_binary", "stochastic_ternary"}
    ),
    WEIGHT_BITS,
)
_INPUT: Final = SlotRule(
    frozenset({"quantized_bits", "quantized_linear", "quantized_relu"}),
    INPUT_BITS,
    (unsigned, one_number, whole),
)


def _input_events(read: NetworkInput) -> Iterator[tuple[str, str]]:
    if None in read.quantizers:
        yield (
            read.name,
            "events are counted: quantize it, with quantized_bits(4,4,keep_negative=0) for up to 15 a step",
        )


XYLO: Final = Legality(
    layers=frozenset({"Dense", "Activation", "ReLU", "Flatten", "Reshape", "Softmax"}),
    slots={
        "kernel": _WEIGHTS,
        "bias": _WEIGHTS,
        "activation": SlotRule(frozenset({"quantized_relu", "binary"}), EVENT_BITS, (_whole_events,)),
        "input": _INPUT,
    },
    inputs=(_input_events,),
    unsigned_inputs=True,
    rules=(one_input, _sizes, _events_between_populations, _only_fired_numbers),
    needs=frozenset({"kernel", "bias", "activation"}),
)
