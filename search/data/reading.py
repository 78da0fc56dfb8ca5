"""How a network reads its input: which layers compute with it first, and in which shape. Plain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from costmodel.layer import Layer, Shape
from costmodel.layer_classes import TRAINING_ONLY
from costmodel.network import Network

#: Layers that pass numbers on in the order they come.
_SAME_ORDER: Final = TRAINING_ONLY | {"InputLayer", "Flatten", "Reshape", "Masking", "Identity"}
#: Layers that move numbers and compute nothing from them.
_MOVING: Final = (
    _SAME_ORDER
    | {"Permute", "RepeatVector"}
    | {f"{kind}{rank}D" for kind in ("ZeroPadding", "Cropping", "UpSampling") for rank in (1, 2, 3)}
)
_WRAPPERS: Final = frozenset({"TimeDistributed", "Bidirectional"})
#: Layers that look up rows by whole numbers.
_LOOKUPS: Final = frozenset({"Embedding"})
#: Layers that scale what they read.
_SCALING: Final = frozenset({"Rescaling", "Normalization"})


@dataclass(frozen=True, slots=True)
class InputReading:
    """How a network reads its input.

    `shape`: of one example as the first layers see it, None where its numbers are moved on the way. `images`: whether a
    layer of two or three spatial dimensions reads it. `tokens`, `masks`, `scales`: names of layers that look its
    numbers up, compare them with a mask's value, or scale them. `mask_values`: of these masks.
    """

    shape: Shape | None
    images: bool = False
    tokens: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    mask_values: tuple[float, ...] = ()
    scales: tuple[str, ...] = ()


def input_reading(network: Network, name: str | None = None) -> InputReading:
    """How the layers of a network read an input (None: the first), through layers that only move numbers."""
    start = network.inputs[0] if name is None else name
    in_order = {start: True}  # what carries the input unchanged -> whether in its order
    readers: list[tuple[Layer, bool]] = []
    masks: list[Layer] = []
    for layer in network.layers:
        if not (sources := [name for name in layer.inbound if name in in_order]):
            continue
        ordered = all(in_order[name] for name in sources)
        if layer.class_name == "Masking":
            masks.append(layer)
        if layer.class_name in _MOVING:
            in_order[layer.name] = ordered and layer.class_name in _SAME_ORDER
        else:
            readers.append((layer, ordered))
    shapes = [layer.input_shapes[0] for layer, ordered in readers if ordered and layer.input_shapes]
    return InputReading(
        shape=max(shapes, key=len, default=None),
        images=any(_class_name(layer)[-2:] in ("2D", "3D") for layer, _ in readers),
        tokens=_names(readers, _LOOKUPS),
        masks=tuple(layer.name for layer in masks),
        mask_values=tuple(_mask_value(layer.config) for layer in masks),
        scales=_names(readers, _SCALING),
    )


def same_size(one: Shape, other: Shape) -> bool:
    """Whether examples of these shapes hold equally many numbers."""
    return math.prod(one) == math.prod(other)


def _names(readers: list[tuple[Layer, bool]], classes: frozenset[str]) -> tuple[str, ...]:
    return tuple(layer.name for layer, _ in readers if _class_name(layer) in classes)


def _class_name(layer: Layer) -> str:
    """The class of a layer, or of the layer that it applies to every step."""
    inner = layer.config.get("layer")
    if layer.class_name in _WRAPPERS and isinstance(inner, Mapping):
        return str(inner.get("class_name"))
    return layer.class_name


def _mask_value(config: Mapping[str, Any]) -> float:
    value = config.get("mask_value", 0.0)
    return float(value) if isinstance(value, int | float) else math.nan
