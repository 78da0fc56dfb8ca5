"""The search space of a job, as plain data: the candidates of every slot, width and learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from costmodel.fold import unfolded
from costmodel.layer import Layer
from costmodel.layer_classes import FUNCTION_SLOTS, OUTPUT_SLOT
from costmodel.network import Network
from quantization.export.legality.base import EVERYTHING, Graph, Legality
from quantization.specs.functions import Function
from quantization.specs.parse import QuantizerSpec
from quantization.specs.slots import function_in, searched_slots
from search.errors import InvalidSpec, Problem
from search.history import Assignment
from search.space import widths
from search.space.candidates import Allowed, Remark, Rule, allowed, replaced
from search.space.normalization import NormalizationChoice
from search.space.selection import idle_limits, select
from search.spec.filters import FILTER_MULTIPLIERS
from search.spec.job import SearchSpec
from search.spec.patterns import matches
from search.spec.training import LearningRates

Label = str | float

#: The part of the space that the candidates of the network's input come from.
INPUT_FIELD: Final = "input"
#: Name of the choice of a learning rate; the names of choices of layers contain a dot.
LEARNING_RATE: Final = "learning_rate"

#: The most assignments that are counted: Python writes and reads no number of more than 4,300 digits.
MOST: Final = 10**4000


@dataclass(frozen=True, slots=True)
class Slot:
    """One choice of a quantizer, for all of `layers`: several when they share a pattern."""

    name: str
    layers: tuple[str, ...]
    slot: str  #: the tensor of the layer: kernel, bias, activation, ...
    field: str  #: the part of the space its candidates come from: kernel, bias, activation, linear, ...
    candidates: tuple[QuantizerSpec, ...]


@dataclass(frozen=True, slots=True)
class Width:
    """One choice of a multiple of the number of filters or units; tied layers share it."""

    name: str
    layers: tuple[str, ...]
    multipliers: tuple[float, ...] = FILTER_MULTIPLIERS


@dataclass(frozen=True)
class Choices:
    """The search space: an assignment is one candidate of every slot, one multiple of every width, and a learning rate
    where that is searched.
    """

    slots: tuple[Slot, ...]
    widths: tuple[Width, ...]
    quantized: tuple[str, ...]  #: layers that become their quantized class, also those without a slot
    base_widths: Mapping[str, int]  #: filters or units before tuning
    warnings: tuple[str, ...] = field(default=())
    learning_rates: tuple[float, ...] = ()  #: to choose from; empty where the rate is not searched
    settings: Mapping[str, tuple[Label, ...]] = field(
        default_factory=dict
    )  #: choices about a whole network: name -> labels
    normalizations: tuple[NormalizationChoice, ...] = ()  #: what becomes of each in every trial
    fixed: Mapping[str, Mapping[str, QuantizerSpec]] = field(
        default_factory=dict
    )  #: layer -> slot -> the quantizer it has in every assignment

    def dimensions(self) -> dict[str, tuple[Label, ...]]:
        """Name of each choice -> its labels, in order."""
        dimensions: dict[str, tuple[Label, ...]] = {
            slot.name: tuple(self._by_label[slot.name]) for slot in self.slots
        }
        dimensions |= {width.name: width.multipliers for width in self.widths}
        dimensions |= self.settings
        return dimensions | ({LEARNING_RATE: self.learning_rates} if self.learning_rates else {})

    def size(self) -> int:
        """The number of assignments, or `MOST` if there are more."""
        size = 1
        for labels in self.dimensions().values():
            size *= len(labels)
            if size >= MOST:
                return MOST
        return size

    def assignment(self, values: Mapping[str, Label]) -> Assignment:
        """The assignment with these labels. KeyError for a choice or label that is not in the space."""
        quantizers: dict[str, dict[str, QuantizerSpec | None]] = {
            **{name: dict(slots) for name, slots in self.fixed.items()},
            **{name: {} for name in self.quantized},
        }
        for slot in self.slots:
            chosen = self._by_label[slot.name][values[slot.name]]
            for layer in slot.layers:
                quantizers.setdefault(layer, {})[slot.slot] = chosen
        changed: dict[str, int] = {}
        for width in self.widths:
            for layer in width.layers:
                count = max(int(self.base_widths[layer] * float(values[width.name])), 1)
                if count != self.base_widths[layer]:
                    changed[layer] = count
        rate = float(values[LEARNING_RATE]) if self.learning_rates else None
        settings = {name: values[name] for name in self.settings}
        return Assignment(dict(values), quantizers, changed, rate, settings)

    def restricted(
        self, *, slots: tuple[Slot, ...], widths: tuple[Width, ...], quantized: Sequence[str]
    ) -> Choices:
        """A part of the space: these choices, restricted to `quantized` layers."""
        part = {*quantized, *(layer for slot in slots if slot.field == INPUT_FIELD for layer in slot.layers)}
        return replace(
            self,
            slots=tuple(
                replace(slot, layers=tuple(layer for layer in slot.layers if layer in part)) for slot in slots
            ),
            widths=widths,
            quantized=tuple(quantized),
        )

    @property
    def candidates(self) -> dict[str, dict[str, tuple[QuantizerSpec, ...]]]:
        """Layer -> slot -> the quantizers that it may get in a trial."""
        listed: dict[str, dict[str, tuple[QuantizerSpec, ...]]] = {
            name: {slot: (quantizer,) for slot, quantizer in slots.items()}
            for name, slots in self.fixed.items()
        }
        for slot in self.slots:
            for layer in slot.layers:
                listed.setdefault(layer, {})[slot.slot] = slot.candidates
        return listed

    @cached_property
    def _by_label(self) -> dict[str, dict[Label, QuantizerSpec]]:
        return {slot.name: {spec.label: spec for spec in slot.candidates} for slot in self.slots}


def choices(spec: SearchSpec, network: Network, legality: Legality = EVERYTHING) -> Choices:
    """The space of a job on a network. `legality`: of its target, whose refusals narrow what the job does not list.

    InvalidSpec with every fault: unknown classes, patterns that match nothing, quantizers that are not in the space,
    slots without a candidate.
    """
    chosen = select(spec, network)
    network = chosen.network
    slots = _Slots(Graph(unfolded(network)), legality, chosen.outputs)
    for layer in network.layers:
        if layer.name in chosen.rules and layer.name not in chosen.unquantized:
            slots.add(spec, layer, chosen.rules[layer.name])
    tuned, width_warnings, width_problems = _widths(spec, network, frozenset(chosen.rules))
    listed = _listed_of_tuned(tuple(slots.slots.values()), tuned)
    problems = [*chosen.problems, *slots.problems, *width_problems, *listed]
    if slots.unquantized and not slots.slots and not tuned and not problems:
        names = ", ".join(sorted(slots.unquantized))
        text = (
            f"no layer of the model is quantized; {spec.target} takes no quantizer in {names}: add a layer in which it"
            " does, as Dense, or leave target out, which takes every layer"
        )
        problems = [Problem("/target", text)]
    if problems:
        raise InvalidSpec(problems)
    return Choices(
        slots=(*_input_slots(spec, network), *slots.slots.values()),
        widths=tuned,
        quantized=tuple(name for name in chosen.rules if name not in slots.unquantized),
        base_widths=widths.widths_of(network),
        warnings=(
            *chosen.warnings,
            *idle_limits(spec, slots.used, chosen.folded),
            *slots.warnings,
            *width_warnings,
        ),
        learning_rates=spec.training.rates if isinstance(spec.training.learning_rate, LearningRates) else (),
        normalizations=chosen.normalizations,
    )


def _input_slots(spec: SearchSpec, network: Network) -> tuple[Slot, ...]:
    """The choice of the input's quantizer, where a job lists candidates for it."""
    candidates = tuple(candidate.quantizer for candidate in spec.quantizers.input)
    if not candidates or spec.inputs == "priced":
        return ()
    return tuple(
        Slot(f"{name}.{INPUT_FIELD}", (name,), OUTPUT_SLOT, INPUT_FIELD, candidates)
        for name in network.inputs
    )


# --- candidates of each slot ------------------------------------------------------------------------------------------


@dataclass
class _Slots:
    """The choices of quantizers so far, and what is to be said of them."""

    graph: Graph
    legality: Legality
    outputs: frozenset[str]  #: layers whose output is quantized besides
    used: set[tuple[str, str]] = field(
        default_factory=set
    )  #: pointer of limits, and field that holds for a slot
    slots: dict[str, Slot] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)  #: of the first layer of a choice
    unquantized: set[str] = field(default_factory=set)  #: layers of which the target quantizes nothing

    def add(self, spec: SearchSpec, layer: Layer, rule: Rule) -> None:
        """Everything of a layer that gets a quantizer."""
        searched = searched_slots(layer)
        if layer.name in self.outputs:
            searched = (*searched, (OUTPUT_SLOT, "output"))
        fields = [field for _, field in searched]
        chosen, refused = False, False
        for slot, layer_field in searched:
            if layer_field == "state" and not spec.quantizers.state:
                continue  # states stay as they are unless candidates are given
            field = _shared_field(spec, rule, layer_field)
            label = field if fields.count(layer_field) == 1 else slot  # attention has four kernels
            result = allowed(spec, layer, slot, field, rule)
            quantizers = self._taken(layer, field, result)
            if result.quantizers and not quantizers:
                refused = True  # the target has no quantizer there; where it needs one its check says so
                continue
            self.used.add((rule.pointer, rule.limits.source_of(field) or ""))
            self.problems += result.problems
            self.remarks += result.remarks
            sentence = replaced(layer, slot, field, quantizers)
            self.replaced += [sentence] if sentence else []
            if quantizers:
                self._put(self._name(spec, layer, rule, slot, label), layer, slot, field, quantizers, rule)
                chosen = True
        if refused and not chosen:
            self.unquantized.add(layer.name)

    def _taken(self, layer: Layer, field: str, offered: Allowed) -> tuple[QuantizerSpec, ...]:
        """What the target takes of the candidates that a job has by default; those that it lists are only checked."""
        if offered.named:
            return offered.quantizers
        tensor = self.graph.tensor(field, layer.name)
        taken = tuple(entry for entry in offered.quantizers if not self.legality.faults(tensor, entry))
        if taken and layer.class_name in self.legality.one_width and tensor.is_kernel:
            most = max(entry.bits for entry in taken)
            return tuple(entry for entry in taken if entry.bits == most)
        return taken

    def _name(self, spec: SearchSpec, layer: Layer, rule: Rule, slot: str, label: str) -> str:
        """The name of a choice; layers under a pattern share it if they have the same function."""
        if rule.pattern is None:
            return f"{layer.name}.{label}"
        name = f"/{rule.pattern}/.{label}"
        is_plain = slot not in FUNCTION_SLOTS or label == "output"
        if is_plain or spec.quantizers.selection == "autoqkeras":
            return name
        function = function_in(layer, slot)
        first = self.functions.setdefault(name, function)
        return name if first == function else f"{name}.{function.name}"

    def _put(
        self,
        name: str,
        layer: Layer,
        slot: str,
        field: str,
        quantizers: tuple[QuantizerSpec, ...],
        rule: Rule,
    ) -> None:
        shared = self.slots.get(name)
        if shared is None:
            self.slots[name] = Slot(name, (layer.name,), slot, field, quantizers)
            return
        both = tuple(quantizer for quantizer in shared.candidates if quantizer in quantizers)
        if not both:
            text = f"layers {', '.join(shared.layers)} and {layer.name} share a choice but no candidate of {field}"
            self.problems.append(Problem(f"{rule.pointer}/{field}", text))
        self.slots[name] = Slot(name, (*shared.layers, layer.name), slot, field, both)

    @property
    def warnings(self) -> list[str]:
        """Alike remarks together, then what is replaced, layer by layer."""
        layers: dict[str, list[str]] = {}
        for remark in self.remarks:
            layers.setdefault(remark.text, []).append(remark.layer)
        return [f"{_named(names)}: {text}" for text, names in layers.items()] + self.replaced


def _named(layers: Sequence[str]) -> str:
    names = list(dict.fromkeys(layers))
    return f"layer {names[0]!r}" if len(names) == 1 else f"layers {', '.join(names)}"


def _shared_field(spec: SearchSpec, rule: Rule, field: str) -> str:
    """Depthwise kernels are treated as kernels, and share their choice under a pattern, unless a job names them."""
    named = spec.quantizers.depthwise_kernel is not None or rule.limits.depthwise_kernel is not None
    return "kernel" if field == "depthwise_kernel" and not named else field


def _widths(
    spec: SearchSpec, network: Network, quantized: frozenset[str]
) -> tuple[tuple[Width, ...], list[str], list[Problem]]:
    if spec.filters.by == "none":
        return (), [], []
    groups, warnings = widths.tunable_groups(network)
    excepted = {
        name
        for pattern in spec.filters.exceptions
        for name in widths.widths_of(network)
        if matches(pattern, name)
    }
    problems = [
        Problem(
            f"/filters/exceptions/{index}",
            f"the pattern {pattern!r} matches the whole name of no layer with filters or units",
        )
        for index, pattern in enumerate(spec.filters.exceptions)
        if not any(matches(pattern, name) for name in widths.widths_of(network))
    ]
    multipliers = spec.filters.multipliers
    free = [group for group in groups if quantized.issuperset(group) and not excepted.intersection(group)]
    if spec.filters.by == "block" and free:
        names = tuple(name for group in free for name in group)
        return (Width("filters", names, multipliers),), warnings, problems
    return tuple(Width(f"{group[0]}.filters", group, multipliers) for group in free), warnings, problems


def _listed_of_tuned(slots: tuple[Slot, ...], tuned: tuple[Width, ...]) -> list[Problem]:
    """Candidates that list a width for each channel of layers whose number of channels is searched."""
    searched = {layer for width in tuned for layer in width.layers}
    return [
        Problem(
            "/filters",
            f"the choice {slot.name} has {spec}, which lists a width for each channel, and the channels of"
            f" {', '.join(sorted(searched.intersection(slot.layers)))} are searched: write one width, set filters.by"
            " to none, or name the layers in filters.exceptions",
        )
        for slot in slots
        for spec in slot.candidates
        if len(getattr(spec, "channel_bits", ())) > 1 and searched.intersection(slot.layers)
    ]
