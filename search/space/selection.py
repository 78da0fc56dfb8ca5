"""Which layers a job quantizes, under which limits, and whose outputs besides. Plain."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from costmodel import lowering
from costmodel.layer import Layer
from costmodel.layer_classes import LAYER_CLASSES, OUTPUT_LAYERS, SEARCHED_LAYERS
from costmodel.network import Network
from search.errors import Problem, pointer_token
from search.space.candidates import Rule
from search.space.normalization import NormalizationChoice, ignored_limits, normalizations, trial_network
from search.space.slots import has_output, is_searched
from search.spec.job import SearchSpec
from search.spec.limits import ANY_CLASS, LayerLimits
from search.spec.patterns import matches

#: Layers of functions that AutoQKeras leaves alone.
_NOT_IN_AUTOQKERAS: Final = frozenset({"ReLU", "LeakyReLU", "PReLU", "ELU"})
#: Work of layers that hand numbers on, one by one or the largest of several: what reads them reads the sums before.
_PASSING: Final = (None, lowering.rearranged, lowering.pool_max, lowering.pool_average, lowering.masked)
_OF_ANY_CLASS: Final = f"/limits/by_class/{ANY_CLASS}"
#: Work of layers without a kernel that compute with numbers as wide as they come.
_WIDENING: Final = (
    lowering.merge,
    lowering.dot,
    lowering.recurrent,
    lowering.bidirectional,
    lowering.attention,
    lowering.rescaled,
)
#: Fields that a list of limits sets whether a layer has them or not.
_LISTS: Final = (
    {"kernel", "bias"},
    {"kernel", "activation", "linear"},
    {"kernel", "bias", "activation"},
    {"kernel", "bias", "pointwise_kernel", "recurrent_kernel", "activation"},
)


@dataclass(frozen=True)
class Selection:
    """The layers that become their quantized class, with their limits, in the order of the network of trials.

    `outputs`: those whose output gets a quantizer though no function made it. `unquantized`: those that get none.
    `folded`: pointers of limits of normalizations that are folded away.
    """

    network: Network
    rules: Mapping[str, Rule]
    outputs: frozenset[str]
    unquantized: frozenset[str]
    folded: frozenset[str]
    normalizations: tuple[NormalizationChoice, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[str, ...]


def select(spec: SearchSpec, network: Network) -> Selection:
    """The layers that a job quantizes; problems: unknown classes, patterns and indexes that select nothing."""
    indexes = None if spec.layers.indexes is None else frozenset(spec.layers.indexes)
    free = [
        layer
        for index, layer in enumerate(network.layers)
        if (indexes is None or index in indexes) and not layer.is_repeated
    ]
    limited = {layer.name: rule for layer in free if (rule := _rule(spec, layer)) is not None}
    searched = {layer.name for layer in free if _is_searched(spec, layer)}
    treated = normalizations(spec, network, searched)
    trial = trial_network(spec, network)
    outputs = _Outputs(spec, trial, limited).names
    default = Rule(spec.limits.default, "/limits/default", None)
    rules = {name: rule for name, rule in limited.items() if name in searched}
    for choice in treated:
        if choice.treatment == "quantized":  # which needs no limit of its own
            rules.setdefault(choice.layer, default)
    acting = {**rules, **{name: limited[name] for name in outputs}}
    chosen = {layer.name: acting[layer.name] for layer in trial.layers if layer.name in acting}
    problems = [*_unknown_classes(spec), *_bad_indexes(spec, network), *_idle_patterns(spec, acting)]
    if not chosen and not problems:
        problems = [Problem("/limits", f"no layer of the model is quantized; {_occurring(trial)}")]
    warnings = [
        *_absent_classes(spec, network),
        *ignored_limits(treated, rules),
        *_left_float(trial, chosen),
        *_idle_indexes(spec, network, acting),
    ]
    folded = {choice.layer for choice in treated if choice.treatment == "folded"}
    return Selection(
        network=trial,
        rules=chosen,
        outputs=outputs,
        unquantized=frozenset(choice.layer for choice in treated if choice.treatment == "float"),
        folded=frozenset(limited[name].pointer for name in folded if name in limited),
        normalizations=treated,
        problems=tuple(problems),
        warnings=tuple(warnings),
    )


def _rule(spec: SearchSpec, layer: Layer) -> Rule | None:
    for index, entry in enumerate(spec.limits.by_name):
        if matches(entry.pattern, layer.name):
            return Rule(entry, f"/limits/by_name/{index}", entry.pattern)
    key = spec.limits.key_of_class(layer.class_name)
    return None if key is None else Rule(spec.limits.by_class[key], f"/limits/by_class/{key}", None)


def _is_searched(spec: SearchSpec, layer: Layer) -> bool:
    if not is_searched(layer):
        return False
    old = spec.quantizers.selection == "autoqkeras" and layer.class_name in _NOT_IN_AUTOQKERAS
    return not old or layer.class_name in spec.limits.by_class


# --- outputs ------------------------------------------------------------------------------------------------------


class _Outputs:
    """The layers whose output gets a quantizer: limits name it, or its sums would widen from layer to layer."""

    def __init__(self, spec: SearchSpec, network: Network, limited: Mapping[str, Rule]) -> None:
        self._spec, self._network = spec, network
        self._readers: dict[str, list[Layer]] = {layer.tensors_of: [] for layer in network.layers}
        for layer in network.layers:
            for name in layer.inbound:
                self._readers[network.layer(name).tensors_of].append(layer)
        of_searched = {
            limited[layer.name].pattern
            for layer in network.layers
            if layer.name in limited and is_searched(layer)
        }
        self.names = frozenset(
            layer.name
            for layer in network.layers
            if layer.name in limited
            and has_output(layer)
            and self._is_quantized(layer, limited[layer.name], of_searched)
        )

    def _is_quantized(self, layer: Layer, rule: Rule, of_searched: set[str | None]) -> bool:
        """`of_searched`: the patterns that also match layers which are quantized anyway."""
        named, space = rule.limits.output is not None, self._spec.quantizers
        if layer.class_name in OUTPUT_LAYERS:
            selects = LAYER_CLASSES[layer.class_name].lower is lowering.pool_max
            if selects and rule.pointer == _OF_ANY_CLASS:
                return named  # the largest of values is one of them, with the type that they have
            return named or rule.pattern is None or rule.pattern not in of_searched
        if named:
            return rule.pattern is not None or not self._is_end(layer)
        return space.selection == "by_function" and bool(space.output) and self._widens(layer)

    def _is_end(self, layer: Layer) -> bool:
        """Whether a layer's sums leave the network, as they are or as probabilities."""
        outputs = {self._network.layer(name).tensors_of for name in self._network.outputs}
        ends = [reader for reader in self._computing(layer) if not is_searched(reader)]
        return layer.tensors_of in outputs or any(reader.tensors_of in outputs for reader in ends)

    def _widens(self, layer: Layer) -> bool:
        """Whether a layer that reads the sums of this one would compute with them at their full width.

        A pointwise convolution behind a depthwise one does, too, but the two are one separable convolution.
        """
        for reader in self._computing(layer):
            row = LAYER_CLASSES[reader.class_name]
            pair = "Depthwise" in layer.class_name and _is_pointwise(reader)
            if (row.linear or row.lower in _WIDENING) and not pair:
                return True
        return False

    def _computing(self, layer: Layer) -> Iterator[Layer]:
        """The layers that compute with what a layer gives, past those that only hand it on."""
        waiting = list(self._readers[layer.tensors_of])
        while waiting:
            reader = waiting.pop()
            if LAYER_CLASSES[reader.class_name].lower in _PASSING:
                waiting += self._readers[reader.tensors_of]
            else:
                yield reader


def _is_pointwise(layer: Layer) -> bool:
    size = layer.config.get("kernel_size")
    lengths = size if isinstance(size, list | tuple) else (size,)
    return layer.class_name in ("Conv1D", "Conv2D") and all(length == 1 for length in lengths)


# --- what has no effect -------------------------------------------------------------------------------------------


def idle_limits(spec: SearchSpec, used: Iterable[tuple[str, str]], elsewhere: Collection[str]) -> list[str]:
    """A warning for every limit that holds for no slot. `used`: (pointer of an entry, field) of those that do.

    `elsewhere`: entries that are reported for another reason.
    """
    acting = set(used)
    entries: list[tuple[str, str, LayerLimits]] = [
        *(
            (f"/limits/by_class/{name}", f"limits.by_class.{name}", entry)
            for name, entry in spec.limits.by_class.items()
        ),
        *(
            (f"/limits/by_name/{index}", f"limits.by_name {entry.pattern!r}", entry)
            for index, entry in enumerate(spec.limits.by_name)
        ),
    ]
    warnings = []
    for pointer, name, entry in entries:
        fields = entry.fields()
        idle = [field for field in fields if (pointer, field) not in acting]
        if idle and pointer not in elsewhere and not (set(fields) in _LISTS and len(idle) < len(fields)):
            warnings.append(
                f"{name}: {', '.join(idle)} has no effect: no layer under it has such a tensor to quantize"
            )
    return warnings


def _idle_indexes(spec: SearchSpec, network: Network, rules: Mapping[str, Rule]) -> list[str]:
    names = [
        network.layers[index].name for index in spec.layers.indexes or () if 0 <= index < len(network.layers)
    ]
    idle = [name for name in names if name not in rules]
    return (
        [f"layers.indexes selects layers that limits do not quantize: {', '.join(idle)}"]
        if idle and rules
        else []
    )


def _unknown_classes(spec: SearchSpec) -> list[Problem]:
    possible = sorted({*SEARCHED_LAYERS, *OUTPUT_LAYERS, ANY_CLASS})
    return [
        Problem(
            f"/limits/by_class/{pointer_token(name)}",
            f"layers of class {name!r} cannot be quantized; possible are {', '.join(possible)}",
        )
        for name in spec.limits.by_class
        if name not in possible
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


def _idle_patterns(spec: SearchSpec, rules: Mapping[str, Rule]) -> list[Problem]:
    used = {rule.pattern for rule in rules.values()}
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
    searched = sorted({layer.class_name for layer in network.layers if is_searched(layer)})
    outputs = [layer for layer in network.layers if has_output(layer)]
    if searched:
        return (
            f"it has layers of class {', '.join(searched)}: limits.by_class or limits.by_name must cover one"
        )
    if outputs:
        classes = ", ".join(sorted({layer.class_name for layer in outputs}))
        limit = f"limits.by_name: [{{pattern: {outputs[0].name}, output: 8}}]"
        return f"of {classes} only the output can be: name it, as {limit}, or add a layer whose weights are, as Dense"
    return "it has no layer that can be quantized: add one with weights, as Dense"


def _absent_classes(spec: SearchSpec, network: Network) -> list[str]:
    present = {ANY_CLASS, *(layer.class_name for layer in network.layers)}
    absent = [name for name in spec.limits.by_class if name not in present]
    return [f"limits name layer classes that the model does not have: {', '.join(absent)}"] if absent else []


def _left_float(network: Network, rules: Mapping[str, Rule]) -> list[str]:
    left = [layer.name for layer in network.layers if is_searched(layer) and layer.tensors_of not in rules]
    return [f"no limit covers these layers, they stay float: {', '.join(left)}"] if left else []
