"""Which layers' widths (filters, units) may change, and which must change together."""

from __future__ import annotations

from typing import Final

from costmodel.layer import Layer
from costmodel.layer_classes import LAYER_CLASSES, ChannelRule, width_field
from costmodel.network import Network

#: Layers that are written for a certain number of channels.
_OF_FIXED_SHAPE: Final = ("Reshape", "Slice", "GroupNormalization", "Rescaling")


def widths_of(network: Network) -> dict[str, int]:
    """Width (units, filters) of every layer whose width a search may change."""
    return {
        layer.name: int(layer.config[field])
        for layer in network.layers
        if not layer.is_repeated
        and LAYER_CLASSES[layer.class_name].tunable
        and (field := width_field(layer.class_name)) is not None
    }


def tunable_groups(network: Network) -> tuple[list[tuple[str, ...]], list[str]]:
    """Groups of layers whose widths may change, each group together, in the network's order; and warnings.

    Fixed are the layers whose width is the width of a model output, those added to something of fixed width, those
    that feed a Reshape or a grouped convolution, and those that are called several times or frozen, with what they
    read.
    """
    sources = {layer.name: _sources(network, layer) for layer in network.layers}
    fixed: set[str] = {""}  # the empty name stands for the model's inputs
    for name in network.outputs:
        fixed |= sources[name]
    shaped = set()
    repeated = {layer.tensors_of for layer in network.layers if layer.is_repeated}
    for layer in network.layers:
        if layer.tensors_of in repeated:
            shaped |= _incoming(layer, sources) | ({layer.tensors_of} & set(widths_of(network)))
        is_frozen = layer.config.get("trainable") is False
        if is_frozen or layer.class_name in _OF_FIXED_SHAPE or int(layer.config.get("groups", 1) or 1) > 1:
            shaped |= _incoming(layer, sources) | ({layer.name} & set(widths_of(network)))
    ties = _ties(network, sources)
    fixed = _closure(fixed | shaped, ties)
    groups: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for name in widths_of(network):
        if name not in fixed and name not in seen:
            group = _closure({name}, ties)
            seen |= group
            groups.append(tuple(other for other in widths_of(network) if other in group))
    constant = sorted((shaped & fixed) - {""})
    listed = ", ".join(constant)
    warnings = (
        [
            f"widths kept for a Reshape, a slice, a grouped convolution, a frozen layer or several calls: {listed}"
        ]
        if constant
        else []
    )
    return groups, warnings


def _sources(network: Network, layer: Layer) -> set[str]:
    """The layers that give this layer's output its width; the empty name stands for the model's inputs."""
    origins: set[str] = set()
    pending, seen = [layer.name], set()
    while pending:
        current = network.layer(pending.pop())
        if current.name in seen:
            continue
        seen.add(current.name)
        if LAYER_CLASSES[current.class_name].tunable:
            origins.add(current.tensors_of)
        elif not current.inbound:
            origins.add("")
        else:
            pending.extend(current.inbound)
    return origins


def _incoming(layer: Layer, sources: dict[str, set[str]]) -> set[str]:
    return set().union(*(sources[name] for name in layer.inbound)) if layer.inbound else set()


def _ties(network: Network, sources: dict[str, set[str]]) -> list[set[str]]:
    return [_incoming(layer, sources) for layer in network.layers if _merges(layer)]


def _merges(layer: Layer) -> bool:
    return LAYER_CLASSES[layer.class_name].channels is ChannelRule.MERGED


def _closure(start: set[str], ties: list[set[str]]) -> set[str]:
    """Everything tied to `start`, directly or through others."""
    reached, size = set(start), -1
    while size != len(reached):
        size = len(reached)
        for tie in ties:
            if tie & reached:
                reached |= tie
    return reached
