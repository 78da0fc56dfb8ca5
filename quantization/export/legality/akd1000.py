"""The chip AKD1000: what converts for Akida 1 and does not fit its processors. Plain.

Akida's software runs all that converts; a chip maps less of it. `tests/truth/test_targets.py` compares these rules with
what cnn2snn 2.19.3 said when it mapped the recorded networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from costmodel.layer import Layer
from costmodel.layer_classes import INPUT
from quantization.export.legality.base import Candidates, Graph

CHIP: Final = "AKD1000"
_CONVOLUTIONS: Final = frozenset({"Conv2D", "SeparableConv2D"})
_WEIGHTED: Final = _CONVOLUTIONS | {"Dense"}
#: Of an image that a convolution of its own kind reads.
IMAGE_CHANNELS: Final = frozenset({1, 3})
_MOST_BITS: Final = 4


def akd1000(graph: Graph, candidates: Candidates) -> Iterator[tuple[str, str]]:
    """The layers that do not map, each with the reason."""
    for layer in graph.layers:
        if layer.class_name in _WEIGHTED:
            block, following = _block(graph, layer)
            reads_image = _reads_image(graph, layer)
            reasons = [
                *(_kernel(layer, reads_image) if layer.class_name in _CONVOLUTIONS else ()),
                *(() if reads_image else _weights(layer, candidates)),
                *_poolings(block, following, reads_image),
            ]
            yield from ((layer.name, f"{CHIP}: {reason}") for reason in reasons)


def _block(graph: Graph, layer: Layer) -> tuple[list[Layer], Layer | None]:
    """What belongs to a layer with weights, and the next one with weights."""
    block: list[Layer] = []
    following = graph.after(layer)
    while len(following) == 1 and following[0].class_name not in _WEIGHTED:
        block.append(following[0])
        following = graph.after(following[0])
    return block, following[0] if following else None


def _reads_image(graph: Graph, layer: Layer) -> bool:
    before = graph.before(layer)
    while before.class_name in ("Activation", "ReLU") and graph.before(before).class_name == INPUT:
        before = graph.before(before)
    is_image = layer.input_shapes[0][-1] in IMAGE_CHANNELS
    return layer.class_name == "Conv2D" and before.class_name == INPUT and is_image


def _kernel(layer: Layer, reads_image: bool) -> Iterator[str]:
    """Sizes, strides and padding of a convolution."""
    sizes = _pair(layer.config.get("kernel_size"))
    pointwise = layer.class_name == "Conv2D" and not reads_image
    allowed = (1, 3, 5, 7) if pointwise else (3, 5, 7)
    if sizes[0] != sizes[1] or sizes[0] not in allowed:
        yield f"kernel_size={sizes}; its kernels are squares of {', '.join(map(str, allowed))}"
    most = 3 if reads_image else 2
    strides = _pair(layer.config.get("strides", 1))
    if max(strides) > most:
        yield f"strides={strides}; at most {most}"
    if not reads_image and layer.config.get("padding", "valid") != "same":
        yield "padding='valid'; behind the first layer only padding='same' is mapped"


def _weights(layer: Layer, candidates: Candidates) -> Iterator[str]:
    """Widths of kernels behind the first layer."""
    for slot, quantizers in candidates.get(layer.name, {}).items():
        for quantizer in quantizers if slot.endswith("kernel") else ():
            if quantizer.bits > _MOST_BITS:
                yield f"{quantizer} of its {slot}; weights behind the first layer have 2 or 4 bits"


def _poolings(block: list[Layer], following: Layer | None, reads_image: bool) -> Iterator[str]:
    """Sizes of poolings, and what must follow them."""
    for pooling in block:
        if pooling.class_name == "GlobalAveragePooling2D" and reads_image:
            yield f"{pooling.name!r} averages what the first layer makes; a second convolution must come before it"
        if pooling.class_name != "MaxPooling2D":
            continue
        size = _pair(pooling.config.get("pool_size", 2))
        strides = _pair(pooling.config.get("strides") or size)
        if max(size) > 2:
            yield f"pool_size={size} of {pooling.name!r}; at most 2"
        elif reads_image and size != strides:
            yield f"strides={strides} of {pooling.name!r}; behind the first layer they are its pool_size, {size}"
        if not reads_image and (following is None or following.class_name not in _CONVOLUTIONS):
            yield f"max pooling {pooling.name!r} must be followed by another convolution"


def _pair(value: Any) -> tuple[int, int]:
    return (value[0], value[1]) if isinstance(value, list | tuple) else (value, value)
