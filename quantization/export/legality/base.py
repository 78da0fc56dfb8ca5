"""What a piece of hardware, a compiler or a file format takes: layers, quantizers per slot, bit widths, rules about the
network. One table for the target of a search and for the export of its result. Plain; nothing loads Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from costmodel.channel_widths import CHANNEL_SLOTS, channel_widths_fault
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
from quantization.specs.per_channel import QuantizedBitsPerChannel
from quantization.specs.slots import function_in, searched_slots

#: Layer -> slot -> quantizer, None: float.
Quantizers: TypeAlias = Mapping[str, Mapping[str, QuantizerSpec | None]]

#: Layer -> slot -> the quantizers that it may get in a trial.
Candidates: TypeAlias = Mapping[str, Mapping[str, Sequence[QuantizerSpec]]]

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

    @property
    def is_kernel(self) -> bool:
        """Whether it is a weight matrix."""
        return _group(self.field) == "kernel"


#: Why a quantizer is not legal for a tensor; None: it is.
QuantizerRule = Callable[[QuantizedTensor, QuantizerSpec], str | None]
#: The layers that break a rule, each with the reason.
NetworkRule = Callable[["Graph"], Iterator[tuple[str, str]]]
#: As `NetworkRule`, of the quantizers that layers may get together.
ChoiceRule = Callable[["Graph", Candidates], Iterator[tuple[str, str]]]
#: As `NetworkRule`, of how an input's numbers become codes.
InputRule = Callable[["NetworkInput"], Iterator[tuple[str, str]]]


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
    activation (which holds for every function), input (of the network; left out: as an activation) -> what is legal
    there; one left out takes anything. `inputs`: rules about what the network reads. `choices`: about quantizers
    together. `chips`: what is converted and does not fit a chip, told as a warning. `needs`: which of the slots must
    not stay float, `float_functions` aside. `required`: class -> further slots that must not. `names`: rules about
    names. `unsigned_inputs`: no number of an input is negative. `one_width`: classes
    whose kernels have the same. `reasons`: class that is not taken -> why, and the remedy.
    """

    layers: frozenset[str] | None = None
    slots: Mapping[str, SlotRule] = field(default_factory=dict)
    rules: tuple[NetworkRule, ...] = ()
    inputs: tuple[InputRule, ...] = ()
    choices: tuple[ChoiceRule, ...] = ()
    chips: tuple[ChoiceRule, ...] = ()
    names: tuple[NetworkRule, ...] = ()
    unsigned_inputs: bool = False
    one_width: frozenset[str] = frozenset()
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
        candidates = as_candidates(quantizers)
        return [
            *self.layer_refusals(network),
            *self.candidate_refusals(graph, candidates),
            *self.float_refusals(graph, candidates),
            *self.input_refusals(graph, candidates),
            *self.rule_refusals(graph, names=names),
        ]

    def candidate_refusals(self, graph: Graph, candidates: Candidates) -> list[Refusal]:
        """Quantizers that are not legal where a trial may have them, alone or together."""
        together = (fault for rule in self.choices for fault in rule(graph, candidates))
        return [
            Refusal(name, fault, slot)
            for name, slots in candidates.items()
            for slot, quantizers in slots.items()
            for quantizer in quantizers
            for fault in self.faults(graph.tensor(slot, name), quantizer)
        ] + [Refusal(layer, reason) for layer, reason in together]

    def chip_warnings(self, graph: Graph, candidates: Candidates) -> list[Refusal]:
        """Layers that convert, and do not fit a chip of the target."""
        return [Refusal(layer, reason) for rule in self.chips for layer, reason in rule(graph, candidates)]

    def input_refusals(self, graph: Graph, candidates: Candidates) -> list[Refusal]:
        """Inputs whose numbers cannot become codes as they do."""
        return [
            Refusal(layer, reason)
            for rule in self.inputs
            for name in graph.network.inputs
            for layer, reason in rule(NetworkInput.of(graph, name, candidates))
        ]

    def faults(self, tensor: QuantizedTensor, quantizer: QuantizerSpec) -> list[str]:
        """Why a quantizer is not legal for a tensor; empty: it is."""
        group = _group(tensor.field)
        if isinstance(quantizer, QuantizedBitsPerChannel):
            layer, slot = tensor.layer, group if group in CHANNEL_SLOTS else tensor.field
            channels = layer.output_shape[-1] if layer.output_shape else None
            fault = channel_widths_fault(layer.class_name, slot, quantizer.channels, channels)
            if fault is not None:
                return [f"{quantizer}: {fault}"]
        if tensor.layer.class_name == INPUT and group == "activation":
            group = "input" if "input" in self.slots else "activation"
        return list(self.slots.get(group, ANY).faults(tensor, quantizer))

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

    def float_refusals(self, graph: Graph, candidates: Candidates) -> list[Refusal]:
        """Slots that must not stay float and have no quantizer."""
        chosen = {
            (name, slot) for name, slots in candidates.items() for slot, listed in slots.items() if listed
        }
        return [
            Refusal(layer.name, f"its {slot} has no quantizer, so it stays float; {self._remedy(slot)}", slot)
            for layer in graph.network.layers
            if not (function_of(layer) in self.ends and graph.is_output(layer))
            for slot in _quantized_slots(layer)
            if _group(slot) in self.needs
            and (layer.name, slot) not in chosen
            and not (slot in FUNCTION_SLOTS and function_in(layer, slot).name in self.float_functions)
        ] + [
            Refusal(
                layer.name,
                f"its {slot.name} has no quantizer, so it stays float; {self._remedy(slot.name)}",
                slot.name,
            )
            for layer in graph.network.layers
            for slot in slots_of(layer.class_name, layer.config)
            if slot.name in self.required.get(layer.class_name, ()) and (layer.name, slot.name) not in chosen
        ]

    def _remedy(self, slot: str) -> str:
        kinds = self.slots.get(_group(slot), ANY).kinds
        return f"give it one of {', '.join(sorted(kinds))}" if kinds else "give it one"

    def rule_refusals(self, graph: Graph, *, names: bool = True) -> list[Refusal]:
        """Layers that break a rule about the network, and about names with `names`."""
        rules = (*self.rules, *(self.names if names else ()))
        return [Refusal(layer, reason) for rule in rules for layer, reason in rule(graph)]


def as_candidates(quantizers: Quantizers) -> Candidates:
    """The quantizers of a trial, each the only one that its slot may get."""
    return {
        name: {slot: (spec,) for slot, spec in slots.items() if spec is not None}
        for name, slots in quantizers.items()
    }


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

    def readers(self, name: str) -> tuple[Layer, ...]:
        """The layers that read a layer."""
        return tuple(self._readers[name])

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


@dataclass(frozen=True)
class NetworkInput:
    """An input of a network, and what makes codes of its numbers: one of `quantizers` in a trial, None: nothing.

    It is that of the input, or else of the only function that reads it. `readers`: the layers that read it;
    `quantized`: whether the input has a quantizer of its own.
    """

    graph: Graph
    name: str
    quantizers: tuple[QuantizerSpec | None, ...]
    quantized: bool
    readers: tuple[Layer, ...]
    candidates: Candidates

    @classmethod
    def of(cls, graph: Graph, name: str, candidates: Candidates) -> NetworkInput:
        """The input of this name."""
        readers = graph.readers(name)
        own = tuple(candidates.get(name, {}).get(OUTPUT_SLOT, ()))
        listed = {tuple(candidates.get(layer.name, {}).get(OUTPUT_SLOT, ())) for layer in readers}
        functions = all(layer.class_name in FUNCTION_LAYERS for layer in readers)
        theirs = next(iter(listed)) if len(listed) == 1 and functions else ()
        return cls(graph, name, own or theirs or (None,), bool(own), readers, candidates)


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
    """kernel, bias, activation or normalization: what a field of the space or a slot of a layer is a case of."""
    if field_name.endswith("kernel") or field_name in ("embeddings", "alpha"):
        return "kernel"
    if field_name in _NORMALIZATION:
        return "normalization"
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
