"""What a piece of hardware, a compiler or a file format takes: layers, quantizers per slot, bit widths, rules about the
network. One table for the target of a search and for the export of its result. Plain; nothing loads Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from costmodel.layer import Layer
from costmodel.layer_classes import (
    FUNCTION_LAYERS,
    FUNCTION_SLOTS,
    INPUT,
    LAYER_CLASSES,
    OUTPUT_SLOT,
    TRAINING_ONLY,
    slots_of,
)
from costmodel.network import Network
from quantization.specs.functions import layer_function
from quantization.specs.parse import QuantizerSpec
from quantization.specs.slots import function_in, searched_slots

#: Layer -> slot -> quantizer, None: float.
Quantizers: TypeAlias = Mapping[str, Mapping[str, QuantizerSpec | None]]

#: Layers that change neither values nor order: rules look past them.
TRANSPARENT: Final = TRAINING_ONLY | {"Flatten", "Reshape"}
_NORMALIZATION: Final = frozenset({"normalization", "gamma", "variance", "inverse", "mean", "beta"})
#: Layers with a kernel that a search may quantize.
WEIGHTED: Final = frozenset(name for name, row in LAYER_CLASSES.items() if row.linear and row.searched)


@dataclass(frozen=True)
class QuantizedTensor:
    """A tensor of a layer that a quantizer is applied to."""

    field: str  #: of the space: kernel, bias, activation, ...
    layer: Layer
    reads_input: bool = False  #: whether the layer reads the network's input


#: Why a quantizer is not legal for a tensor; None: it is.
QuantizerRule = Callable[[QuantizedTensor, QuantizerSpec], str | None]
#: The layers that break a rule, each with the reason.
NetworkRule = Callable[["Graph"], Iterator[tuple[str, str]]]


@dataclass(frozen=True)
class SlotRule:
    """What a slot may hold: kinds of quantizers, widths in bits, and further rules about its arguments."""

    kinds: frozenset[str] | None = None
    bits: frozenset[int] | None = None
    rules: tuple[QuantizerRule, ...] = ()

    def faults(self, tensor: QuantizedTensor, quantizer: QuantizerSpec) -> Iterator[str]:
        """Every way in which the quantizer is not legal here."""
        if self.kinds is not None and quantizer.kind not in self.kinds:
            yield f"{quantizer} is not one of {', '.join(sorted(self.kinds))}"
            return
        if self.bits is not None and quantizer.bits not in self.bits:
            yield f"{quantizer} has {quantizer.bits} bits, allowed are {_listed(self.bits)}"
        for rule in self.rules:
            fault = rule(tensor, quantizer)
            if fault is not None:
                yield f"{quantizer}: {fault}"


#: Anything goes.
ANY: Final = SlotRule()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A layer that cannot be taken: why, and the remedy. `slot`: whose quantizer is at fault, if one is."""

    layer: str
    reason: str
    slot: str | None = None

    def __str__(self) -> str:
        return f"layer {self.layer!r}: {self.reason}"


@dataclass(frozen=True)
class Legality:
    """The rules of a piece of hardware, a compiler or a format.

    `layers`: classes it takes, None: all. `left_out`: further classes, which do nothing at inference. `ends`: functions
    that it leaves out at the output. `slots`: kernel (which holds for every weight matrix), bias, normalization,
    activation (which holds for every function) -> what is legal there; one left out takes anything. `needs`: which of
    them must not stay float, `float_functions` aside. `required`: class -> further slots that must not. `names`: rules
    about names. `reasons`: class that is not taken -> why, and the remedy.
    """

    layers: frozenset[str] | None = None
    slots: Mapping[str, SlotRule] = field(default_factory=dict)
    rules: tuple[NetworkRule, ...] = ()
    names: tuple[NetworkRule, ...] = ()
    needs: frozenset[str] = frozenset()
    required: Mapping[str, frozenset[str]] = field(default_factory=dict)
    left_out: frozenset[str] = TRAINING_ONLY
    ends: frozenset[str] = frozenset({"softmax"})
    float_functions: frozenset[str] = frozenset()
    reasons: Mapping[str, str] = field(default_factory=dict)

    def refusals(self, network: Network, quantizers: Quantizers, *, names: bool = True) -> list[Refusal]:
        """Every layer that breaks a rule, and every quantizer that is not legal. Empty: all of it is taken.

        `quantizers`: of every layer that has any; slots left out are float. `names`: whether names are checked too.
        """
        graph = Graph(network)
        chosen = {(name, slot) for name, slots in quantizers.items() for slot, spec in slots.items() if spec}
        return [
            *self.layer_refusals(network),
            *(
                Refusal(name, fault, slot)
                for name, slots in quantizers.items()
                for slot, spec in slots.items()
                if spec is not None and not is_input(network, name)
                for fault in self.faults(graph.tensor(slot, name), spec)
            ),
            *self.float_refusals(graph, chosen),
            *self.rule_refusals(graph, names=names),
        ]

    def faults(self, tensor: QuantizedTensor, quantizer: QuantizerSpec) -> list[str]:
        """Why a quantizer is not legal for a tensor; empty: it is."""
        return list(self.slots.get(_group(tensor.field), ANY).faults(tensor, quantizer))

    def layer_refusals(self, network: Network) -> list[Refusal]:
        """Layers of classes that are not taken."""
        if self.layers is None:
            return []
        allowed = self.layers | self.left_out | {INPUT}
        listed = ", ".join(sorted(self.layers))
        return [
            Refusal(
                layer.name, self.reasons.get(layer.class_name) or f"{layer.class_name} is not one of {listed}"
            )
            for layer in network.layers
            if layer.class_name not in allowed
        ]

    def float_refusals(self, graph: Graph, chosen: Collection[tuple[str, str]]) -> list[Refusal]:
        """Slots that must not stay float and are not among those that have a quantizer (layer, slot)."""
        return [
            Refusal(layer.name, f"its {slot} has no quantizer, so it stays float", slot)
            for layer in graph.network.layers
            if not (function_of(layer) in self.ends and graph.is_output(layer))
            for slot in _quantized_slots(layer)
            if _group(slot) in self.needs
            and (layer.name, slot) not in chosen
            and not (slot in FUNCTION_SLOTS and function_in(layer, slot).name in self.float_functions)
        ] + [
            Refusal(layer.name, f"its {slot.name} has no quantizer, so it stays float", slot.name)
            for layer in graph.network.layers
            for slot in slots_of(layer.class_name, layer.config)
            if slot.name in self.required.get(layer.class_name, ()) and (layer.name, slot.name) not in chosen
        ]

    def rule_refusals(self, graph: Graph, *, names: bool = True) -> list[Refusal]:
        """Layers that break a rule about the network, and about names with `names`."""
        rules = (*self.rules, *(self.names if names else ()))
        return [Refusal(layer, reason) for rule in rules for layer, reason in rule(graph)]


#: Everything is legal.
EVERYTHING: Final = Legality()


class Graph:
    """Who reads whom, past layers that change nothing."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._readers: dict[str, list[Layer]] = {layer.name: [] for layer in network.layers}
        for layer in network.layers:
            for name in layer.inbound:
                self._readers[name].append(layer)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Layers that do something, inputs not counted."""
        skipped = TRANSPARENT | {INPUT}
        return tuple(layer for layer in self.network.layers if layer.class_name not in skipped)

    def before(self, layer: Layer) -> Layer:
        """What feeds the layer's first input, past transparent layers; an input layer at the end."""
        source = self.network.layer(layer.inbound[0])
        while source.class_name in TRANSPARENT:
            source = self.network.layer(source.inbound[0])
        return source

    def after(self, layer: Layer) -> list[Layer]:
        """The layers that read this one, past transparent layers."""
        following: list[Layer] = []
        for reader in self._readers[layer.name]:
            following += self.after(reader) if reader.class_name in TRANSPARENT else [reader]
        return following

    def tensor(self, field_name: str, layer: str) -> QuantizedTensor:
        """A field of a layer."""
        network_layer = self.network.layer(layer)
        return QuantizedTensor(
            field_name,
            network_layer,
            bool(network_layer.inbound) and self.before(network_layer).class_name == INPUT,
        )

    def is_output(self, layer: Layer) -> bool:
        """Whether the layer's values leave the network, past transparent layers and a softmax."""
        if layer.name in self.network.outputs:
            return True
        readers = self._readers[layer.name]
        passing = [entry for entry in readers if entry.class_name in TRANSPARENT or is_softmax(entry)]
        return len(passing) == len(readers) and any(self.is_output(reader) for reader in passing)


def function_of(layer: Layer) -> str:
    """The activation function a layer applies; "relu" is the plain one, without limit, slope or threshold."""
    if layer.class_name == "ReLU":
        options = {name: layer.config.get(name) for name in ("max_value", "negative_slope", "threshold")}
        written = [f"{name}={value:g}" for name, value in options.items() if value]
        return f"relu with {', '.join(written)}" if written else "relu"
    return layer_function(layer.class_name, layer.config).name


def is_softmax(layer: Layer) -> bool:
    """Whether all the layer does is a softmax."""
    return layer.class_name in ("Activation", "Softmax") and function_of(layer) == "softmax"


def is_input(network: Network, name: str) -> bool:
    """Whether a layer of this name is an input of the network."""
    return network.layer(name).class_name == INPUT


def _group(field_name: str) -> str:
    """kernel, bias, activation, normalization or input: what a field of the space or a slot of a layer is a case of."""
    if field_name.endswith("kernel") or field_name in ("embeddings", "alpha"):
        return "kernel"
    if field_name in _NORMALIZATION:
        return "normalization"
    if field_name == "input":  # of the network: targets have no rules for it
        return field_name
    return "bias" if field_name.endswith("bias") else "activation"


def _quantized_slots(layer: Layer) -> Iterator[str]:
    """The slots of a layer that a target without floats needs a quantizer for."""
    if layer.class_name in WEIGHTED:
        yield from (slot for slot, _ in searched_slots(layer))
    elif layer.class_name in FUNCTION_LAYERS and not is_softmax(layer):
        yield OUTPUT_SLOT


def _listed(bits: frozenset[int]) -> str:
    ordered = sorted(bits)
    if len(ordered) > 3 and ordered == list(range(ordered[0], ordered[-1] + 1)):
        return f"{ordered[0]} to {ordered[-1]}"
    return ", ".join(map(str, ordered))


def one_input(graph: Graph) -> Iterator[tuple[str, str]]:
    """Inputs beyond the first, for what reads one array."""
    for name in graph.network.inputs[1:]:
        yield (
            name,
            "a second input; one array is read: let the model slice its inputs out of one (`x[:, 4:]`), or export it"
            " as keras, keras_plain, onnx, qonnx, hls4ml or qkeras",
        )


def symmetric(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """Codes must be as many below zero as above."""
    arguments: Any = quantizer
    if quantizer.kind in ("quantized_bits", "quantized_linear") and not arguments.symmetric:
        return "symmetric=True is needed"
    return None
