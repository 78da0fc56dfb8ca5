"""The search space of a job, as plain data: the candidates of every slot, width and learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from costmodel.foldable import plain_class
from costmodel.layer import Layer
from costmodel.layer_classes import FUNCTION_SLOTS, OUTPUT_SLOT, SEARCHED_LAYERS
from costmodel.network import Network
from quantization.specs.functions import PROBABILITIES, Function
from quantization.specs.parse import QuantizerSpec
from search.errors import InvalidSpec, Problem, pointer_token
from search.history import Assignment
from search.space import widths
from search.space.candidates import Remark, Rule, allowed, replaced
from search.space.normalization import NormalizationChoice, ignored_limits, normalizations, trial_network
from search.space.slots import function_in, searched_slots
from search.spec.job import FILTER_MULTIPLIERS, SearchSpec
from search.spec.patterns import matches
from search.spec.training import LearningRates

Label = str | float

#: Name of the choice of a learning rate; the names of choices of layers contain a dot.
LEARNING_RATE: Final = "learning_rate"


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
        """The number of assignments."""
        return math.prod(len(labels) for labels in self.dimensions().values())

    def assignment(self, values: Mapping[str, Label]) -> Assignment:
        """The assignment with these labels. KeyError for a choice or label that is not in the space."""
        quantizers: dict[str, dict[str, QuantizerSpec | None]] = {
            **{name: dict(slots) for name, slots in self.fixed.items()},
            **{name: {} for name in self.quantized},
        }
        for slot in self.slots:
            chosen = self._by_label[slot.name][values[slot.name]]
            for layer in slot.layers:
                quantizers[layer][slot.slot] = chosen
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
        part = set(quantized)
        return replace(
            self,
            slots=tuple(
                replace(slot, layers=tuple(layer for layer in slot.layers if layer in part)) for slot in slots
            ),
            widths=widths,
            quantized=tuple(quantized),
        )

    @cached_property
    def _by_label(self) -> dict[str, dict[Label, QuantizerSpec]]:
        return {slot.name: {spec.label: spec for spec in slot.candidates} for slot in self.slots}


def choices(spec: SearchSpec, network: Network) -> Choices:
    """The space of a job on a network. InvalidSpec with every fault: unknown classes, patterns that match nothing,
    quantizers that are not in the space, slots without a candidate.
    """
    problems = [*_unknown_classes(spec), *_bad_indexes(spec, network)]
    selected = {layer.name: _rule(spec, layer) for layer in _selected(spec, network)}
    treated, absent = normalizations(spec, network, selected), _absent_classes(spec, network)
    network = trial_network(spec, network)
    rules = _rules(spec, network, selected, treated)
    problems += _idle_patterns(spec, (rule for rule in selected.values() if rule))
    slots = _Slots()
    unquantized = {choice.layer for choice in treated if choice.treatment == "float"}
    for layer in network.layers:
        if layer.name in rules and layer.name not in unquantized:
            slots.add(spec, layer, rules[layer.name])
    problems += slots.problems
    tuned, width_warnings, width_problems = _widths(spec, network, frozenset(rules))
    problems += width_problems
    if problems:
        raise InvalidSpec(problems)
    if not rules:
        raise InvalidSpec([Problem("/limits", f"no layer of the model is quantized; {_occurring(network)}")])
    return Choices(
        slots=tuple(slots.slots.values()),
        widths=tuned,
        quantized=tuple(rules),
        base_widths=widths.widths_of(network),
        warnings=(
            *absent,
            *ignored_limits(treated, {name: rule for name, rule in selected.items() if rule}),
            *_left_float(network, rules),
            *slots.warnings,
            *width_warnings,
        ),
        learning_rates=spec.training.rates if isinstance(spec.training.learning_rate, LearningRates) else (),
        normalizations=treated,
    )


# --- which layers --------------------------------------------------------------------------------------------------


def _quantizable(layer: Layer) -> bool:
    if layer.class_name == "Activation":
        return function_in(layer, OUTPUT_SLOT).name not in PROBABILITIES
    return plain_class(layer.class_name) in SEARCHED_LAYERS


def _selected(spec: SearchSpec, network: Network) -> list[Layer]:
    indexes = spec.layers.indexes
    return [
        layer
        for index, layer in enumerate(network.layers)
        if _quantizable(layer) and (indexes is None or index in indexes)
    ]


def _rule(spec: SearchSpec, layer: Layer) -> Rule | None:
    for index, entry in enumerate(spec.limits.by_name):
        if matches(entry.pattern, layer.name):
            return Rule(entry, f"/limits/by_name/{index}", entry.pattern)
    limits = spec.limits.by_class.get(layer.class_name)
    return None if limits is None else Rule(limits, f"/limits/by_class/{layer.class_name}", None)


def _rules(
    spec: SearchSpec,
    network: Network,
    selected: Mapping[str, Rule | None],
    treated: Sequence[NormalizationChoice],
) -> dict[str, Rule]:
    """The rule of every layer of the trials' network that is quantized; normalizations need no limit of their own."""
    default = Rule(spec.limits.default, "/limits/default", None)
    quantized = {choice.layer for choice in treated if choice.treatment == "quantized"}
    rules = {
        layer.name: selected.get(layer.name) or (default if layer.name in quantized else None)
        for layer in network.layers
    }
    return {name: rule for name, rule in rules.items() if rule is not None}


def _unknown_classes(spec: SearchSpec) -> list[Problem]:
    return [
        Problem(
            f"/limits/by_class/{pointer_token(name)}",
            f"layers of class {name!r} cannot be quantized; possible are {', '.join(SEARCHED_LAYERS)}",
        )
        for name in spec.limits.by_class
        if name not in SEARCHED_LAYERS
    ]


def _bad_indexes(spec: SearchSpec, network: Network) -> list[Problem]:
    count = len(network.layers)
    return [
        Problem(
            f"/layers/indexes/{position}",
            f"the model has layers 0 to {count - 1}, so there is no layer {index}",
        )
        for position, index in enumerate(spec.layers.indexes or ())
        if not 0 <= index < count
    ]


def _idle_patterns(spec: SearchSpec, rules: Iterable[Rule]) -> list[Problem]:
    used = {rule.pattern for rule in rules}
    return [
        Problem(
            f"/limits/by_name/{index}/pattern",
            f"the pattern {entry.pattern!r} matches the whole name of no layer that can be quantized"
            " (or an earlier pattern matches them all)",
        )
        for index, entry in enumerate(spec.limits.by_name)
        if entry.pattern not in used
    ]


def _occurring(network: Network) -> str:
    classes = sorted({plain_class(layer.class_name) for layer in network.layers if _quantizable(layer)})
    return (
        f"it has layers of class {', '.join(classes)}" if classes else "it has no layer that can be quantized"
    )


def _absent_classes(spec: SearchSpec, network: Network) -> list[str]:
    present = {layer.class_name for layer in network.layers}
    absent = [name for name in spec.limits.by_class if name not in present]
    return [f"limits name layer classes that the model does not have: {', '.join(absent)}"] if absent else []


def _left_float(network: Network, rules: Mapping[str, Rule]) -> list[str]:
    left = [layer.name for layer in network.layers if _quantizable(layer) and layer.name not in rules]
    return [f"no limit covers these layers, they stay float: {', '.join(left)}"] if left else []


# --- candidates of each slot ------------------------------------------------------------------------------------------


@dataclass
class _Slots:
    """The choices of quantizers so far, and what is to be said of them."""

    slots: dict[str, Slot] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)  #: of the first layer of a choice

    def add(self, spec: SearchSpec, layer: Layer, rule: Rule) -> None:
        """Everything of a layer that gets a quantizer."""
        searched = searched_slots(layer)
        fields = [field for _, field in searched]
        for slot, layer_field in searched:
            if layer_field == "state" and not spec.quantizers.state:
                continue  # states stay as they are unless candidates are given
            field = _shared_field(spec, rule, layer_field)
            label = field if fields.count(layer_field) == 1 else slot  # attention has four kernels
            result = allowed(spec, layer, slot, field, rule)
            self.problems += result.problems
            self.remarks += result.remarks
            sentence = replaced(layer, slot, field, result.quantizers)
            self.replaced += [sentence] if sentence else []
            if result.quantizers:
                self._put(
                    self._name(spec, layer, rule, slot, label), layer, slot, field, result.quantizers, rule
                )

    def _name(self, spec: SearchSpec, layer: Layer, rule: Rule, slot: str, label: str) -> str:
        """The name of a choice; layers under a pattern share it if they have the same function."""
        if rule.pattern is None:
            return f"{layer.name}.{label}"
        name = f"/{rule.pattern}/.{label}"
        if slot not in FUNCTION_SLOTS or spec.quantizers.selection == "autoqkeras":
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
    free = [group for group in groups if quantized.issuperset(group) and not excepted.intersection(group)]
    if spec.filters.by == "block" and free:
        return (Width("filters", tuple(name for group in free for name in group)),), warnings, problems
    return tuple(Width(f"{group[0]}.filters", group) for group in free), warnings, problems
