"""Folding of batch normalizations into the layers before them, as at inference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from costmodel.errors import InvalidNetwork
from costmodel.layer import Layer
from costmodel.layer_classes import LAYER_CLASSES, TRAINING_ONLY
from costmodel.network import Network

#: Classes a batch normalization can be folded into -> the class that has it folded in.
FOLDED: Final[Mapping[str, str]] = {
    name: row.folded for name, row in LAYER_CLASSES.items() if row.folded is not None
}


def foldable(network: Network, layer: Layer) -> bool:
    """Whether a batch normalization folds into the layer before it: a linear one that no other layer reads."""
    if layer.class_name != "BatchNormalization":
        return False
    before = _before(network, layer)
    linear = before.config.get("activation", "linear") in (None, "linear")
    readers = sum(before.name in other.inbound for other in network.layers)
    sums = LAYER_CLASSES[before.class_name].linear
    return sums and linear and readers == 1 and before.name not in network.outputs


def _before(network: Network, layer: Layer) -> Layer:
    before = network.layer(layer.inbound[0])
    while before.class_name in TRAINING_ONLY:
        before = network.layer(before.inbound[0])
    return before


def folded(network: Network, names: Iterable[str] | None = None) -> Network:
    """The network with these batch normalizations folded into the layers before; None: with all that can be folded.

    The layer before keeps its name and becomes one of `FOLDED`. Raises `InvalidNetwork` for one that cannot be folded.
    """
    if names is None:
        chosen = [layer for layer in network.layers if _can_fold(network, layer)]
    else:
        chosen = [network.layer(name) for name in names]
    into = {layer.name: _target(network, layer) for layer in chosen}
    targets = {target.name: target for target in into.values()}
    layers = []
    for layer in network.layers:
        if layer.name in into:
            continue
        if layer.name in targets:
            layer = replace(layer, class_name=FOLDED[layer.class_name])
        inbound = tuple(into[name].name if name in into else name for name in layer.inbound)
        layers.append(replace(layer, inbound=inbound))
    outputs = tuple(into[name].name if name in into else name for name in network.outputs)
    return Network(tuple(layers), network.inputs, outputs)


def _can_fold(network: Network, layer: Layer) -> bool:
    direct = layer.inbound and network.layer(layer.inbound[0]).class_name in FOLDED
    return bool(direct) and foldable(network, layer)


def _target(network: Network, layer: Layer) -> Layer:
    if not _can_fold(network, layer):
        reason = (
            f"cannot be folded: it must directly follow a linear {', '.join(FOLDED)} that nothing else reads"
        )
        raise InvalidNetwork(layer.name, "", reason)
    return network.layer(layer.inbound[0])
