"""Which layers' widths (filters, units) may change, and which must change together."""

from __future__ import annotations

from typing import Final

from costmodel.network import Layer, Network

#: Class -> the field of its config that is its width.
WIDTH_FIELDS: Final = {
    "Dense": "units",
    "Conv1D": "filters",
    "Conv2D": "filters",
    "Conv1DTranspose": "filters",
    "Conv2DTranspose": "filters",
    "SeparableConv1D": "filters",
    "SeparableConv2D": "filters",
}

#: Merges whose inputs must have one width.
_EQUAL_INPUTS: Final = frozenset({"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"})


def of(network: Network) -> dict[str, int]:
    """Width of every layer that has one."""
    return {
        layer.name: int(layer.config[WIDTH_FIELDS[layer.class_name]])
        for layer in network.layers
        if layer.class_name in WIDTH_FIELDS
    }


def tunable_groups(network: Network) -> tuple[list[tuple[str, ...]], list[str]]:
    """Groups of layers whose widths may change, each group together, in the network's order; and warnings.

    Fixed are the layers whose width is the width of a model output, those added to something of fixed width, and
    those that feed a Reshape or a grouped convolution.
    """
    sources = {layer.name: _sources(network, layer) for layer in network.layers}
    fixed: set[str] = {""}  # the empty name stands for the model's inputs
    for name in network.outputs:
        fixed |= sources[name]
    shaped = set()
    for layer in network.layers:
        if layer.class_name == "Reshape" or int(layer.config.get("groups", 1) or 1) > 1:
            shaped |= _incoming(layer, sources) | ({layer.name} & set(of(network)))
    ties = _ties(network, sources)
    fixed = _closure(fixed | shaped, ties)
    groups: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for name in of(network):
        if name not in fixed and name not in seen:
            group = _closure({name}, ties)
            seen |= group
            groups.append(tuple(other for other in of(network) if other in group))
    kept = sorted((shaped & fixed) - {""})
    warnings = [f"widths kept for a Reshape or a grouped convolution: {', '.join(kept)}"] if kept else []
    return groups, warnings


def _sources(network: Network, layer: Layer) -> set[str]:
    """The layers that give this layer's output its width; the empty name stands for the model's inputs."""
    found: set[str] = set()
    pending, seen = [layer.name], set()
    while pending:
        current = network.layer(pending.pop())
        if current.name in seen:
            continue
        seen.add(current.name)
        if current.class_name in WIDTH_FIELDS:
            found.add(current.name)
        elif not current.inbound:
            found.add("")
        else:
            pending.extend(current.inbound)
    return found


def _incoming(layer: Layer, sources: dict[str, set[str]]) -> set[str]:
    return set().union(*(sources[name] for name in layer.inbound)) if layer.inbound else set()


def _ties(network: Network, sources: dict[str, set[str]]) -> list[set[str]]:
    return [_incoming(layer, sources) for layer in network.layers if layer.class_name in _EQUAL_INPUTS]


def _closure(start: set[str], ties: list[set[str]]) -> set[str]:
    """Everything tied to `start`, directly or through others."""
    reached, size = set(start), -1
    while size != len(reached):
        size = len(reached)
        for tie in ties:
            if tie & reached:
                reached |= tie
    return reached
