"""How large a network is: what it keeps in memory to be trained, and how much of that is allowed."""

from __future__ import annotations

from typing import Final

from costmodel.errors import InvalidNetwork
from costmodel.layer import Layer, elements
from costmodel.layer_classes import lower
from costmodel.network import Network

#: Weights a model may have: a gigabyte of 32-bit floats.
MAX_PARAMETERS: Final = 1 << 28
#: Numbers that all layers together may return for one example: a gigabyte of 32-bit floats.
MAX_ACTIVATIONS: Final = 1 << 28


def parameters(layer: Layer) -> int:
    """Weights of a layer. Raises `InvalidNetwork`."""
    lowering = lower(layer)
    return (
        0
        if lowering is None or layer.is_repeated
        else sum(parameter.elements for parameter in lowering.parameters)
    )


def too_large(network: Network) -> InvalidNetwork | None:
    """What is too large to be built and trained: weights, or activations of one example; None if nothing is."""
    layers = {layer.name: parameters(layer) for layer in network.layers}
    total = sum(layers.values())
    if total > MAX_PARAMETERS:
        largest = max(layers, key=lambda name: layers[name])
        reason = f"has {total} weights; {MAX_PARAMETERS} are allowed (the most, {layers[largest]}, has {largest!r})"
        return InvalidNetwork("", "layers", reason)
    sizes = {layer.name: elements(layer.output_shape) for layer in network.layers}
    total = sum(sizes.values())
    if total > MAX_ACTIVATIONS:
        largest = max(sizes, key=lambda name: sizes[name])
        reason = (
            f"returns {total} numbers for one example, all layers together; {MAX_ACTIVATIONS} are allowed"
            f" (the most, {sizes[largest]}, returns {largest!r})"
        )
        return InvalidNetwork("", "layers", reason)
    return None
