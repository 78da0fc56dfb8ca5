"""Folding of batch normalizations into the layers before them, as at inference."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from costmodel.errors import InvalidNetwork
from costmodel.foldable import FOLDED, UNFOLDED, foldable_pairs
from costmodel.network import Network


def folded(network: Network, names: Iterable[str] | None = None) -> Network:
    """The network with these batch normalizations folded into the layers before them; None: all that can be folded.

    The layer before keeps its name and becomes one of `FOLDED`. Raises `InvalidNetwork` for one that cannot be folded.
    """
    pairs = foldable_pairs(network)
    into = pairs if names is None else {name: _target(network, pairs, name) for name in names}
    targets = frozenset(into.values())
    layers = []
    for layer in network.layers:
        if layer.name in into:
            continue
        if layer.name in targets:
            layer = replace(layer, class_name=FOLDED[layer.class_name])
        layers.append(replace(layer, inbound=tuple(_moved(network, into, name) for name in layer.inbound)))
    return Network(
        tuple(layers), network.inputs, tuple(_moved(network, into, name) for name in network.outputs)
    )


def unfolded(network: Network) -> Network:
    """The network with every folded layer as the plain one that it is at inference, which has a bias."""
    layers = [
        replace(layer, class_name=UNFOLDED[layer.class_name], config={**layer.config, "use_bias": True})
        if layer.class_name in UNFOLDED
        else layer
        for layer in network.layers
    ]
    return Network(tuple(layers), network.inputs, network.outputs)


def _moved(network: Network, into: dict[str, str], name: str) -> str:
    """What a reader of `name` reads once the normalizations are gone."""
    return network.layer(name).inbound[0] if name in into else name


def _target(network: Network, pairs: dict[str, str], name: str) -> str:
    if network.layer(name).name in pairs:
        return pairs[name]
    classes = ", ".join(FOLDED)
    reason = (
        f"cannot be folded: it must follow a linear {classes} that nothing else reads, along its channels"
    )
    raise InvalidNetwork(name, "", reason)
