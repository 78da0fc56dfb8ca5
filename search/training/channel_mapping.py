"""Which channels of one network are which of the same network at other widths. Plain numpy; nothing loads Keras.

A narrower layer keeps the channels of the largest magnitude, a wider one all of them and new ones; the layers that read
it keep the matching inputs. Layers tied through an addition keep the same channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from costmodel.layer import Layer
from costmodel.layer_classes import INPUT, LAYER_CLASSES, ChannelRule
from costmodel.network import Network
from search.space import widths

#: For each channel its index in the other network; NEW where it has none.
Channels: TypeAlias = NDArray[np.int64]
NEW: Final = -1


@dataclass(frozen=True)
class Slice:
    """The channels of a layer's inputs and of its output in the other network; None: not known."""

    inputs: tuple[Channels | None, ...]
    output: Channels | None

    @property
    def is_whole(self) -> bool:
        """Whether every channel has the same index in both networks."""
        return all(map(is_identity, (*self.inputs, self.output)))


def is_identity(channels: Channels | None) -> bool:
    """Whether every channel has the same index in both networks."""
    return channels is not None and bool(np.array_equal(channels, np.arange(len(channels))))


def slices(
    source: Network, target: Network, magnitudes: Callable[[str], NDArray[np.float64]]
) -> dict[str, Slice]:
    """Layer of `target` -> the channels of `source` that it keeps; layers that `source` lacks are left out.

    `magnitudes`: name of a layer of `source` -> the magnitude of each of its channels. Of equal ones the first are
    kept, in their order. Tied layers are compared by the sum of their magnitudes, each divided by its mean.
    """
    walk = _Walk(source, target, magnitudes)
    for layer in target.layers:
        walk.visit(layer)
    return walk.slices


class _Walk:
    """The layers of the target in order, each after those it reads."""

    def __init__(
        self, source: Network, target: Network, magnitudes: Callable[[str], NDArray[np.float64]]
    ) -> None:
        self.slices: dict[str, Slice] = {}
        self._source = {layer.name: layer for layer in source.layers}
        self._magnitudes = magnitudes
        groups, _ = widths.tunable_groups(source)
        self._group_of = {name: group for group in groups for name in group}
        self._selected: dict[tuple[tuple[str, ...], int], Channels] = {}

    def visit(self, layer: Layer) -> None:
        """Add a layer's slice."""
        source = self._source.get(layer.name)
        if source is None or source.class_name != layer.class_name:
            return
        read = [self.slices.get(name) for name in layer.inbound]
        inputs = tuple(None if slice_ is None else slice_.output for slice_ in read)
        self.slices[layer.name] = Slice(inputs, self._output(layer, source, inputs))

    def _output(self, layer: Layer, source: Layer, inputs: Sequence[Channels | None]) -> Channels | None:
        size = layer.output_shape[-1]
        if layer.class_name == INPUT:
            return np.arange(size)
        if layer.config.get("data_format") == "channels_first" and not all(map(is_identity, inputs)):
            return None
        if LAYER_CLASSES[layer.class_name].channels is ChannelRule.OWN:
            return self._selection(layer.name, source.output_shape[-1], size)
        known_inputs = [channels for channels in inputs if channels is not None]
        return _passed_on(layer, source, known_inputs) if len(known_inputs) == len(inputs) else None

    def _selection(self, name: str, source_width: int, width: int) -> Channels:
        if width >= source_width:
            return np.concatenate([np.arange(source_width), np.full(width - source_width, NEW)])
        group = self._group_of.get(name, (name,))
        if (group, width) not in self._selected:
            total = sum(weights / (weights.mean() or 1.0) for weights in map(self._magnitudes, group))
            largest = np.argsort(-np.asarray(total), kind="stable")[:width]
            self._selected[group, width] = np.sort(largest).astype(np.int64)
        return self._selected[group, width]


def _passed_on(layer: Layer, source: Layer, inputs: Sequence[Channels]) -> Channels | None:
    """The output channels of a layer that computes them from its input channels."""
    rule, first = LAYER_CLASSES[layer.class_name].channels, inputs[0]
    if rule is ChannelRule.MULTIPLIED:
        return spread(first, int(layer.config.get("depth_multiplier", 1) or 1))
    if rule is ChannelRule.FLATTENED:
        positions = source.output_shape[-1] // max(source.input_shapes[0][-1], 1)
        steps = np.arange(positions)[:, None] * source.input_shapes[0][-1]
        return np.where(first[None, :] == NEW, NEW, first[None, :] + steps).reshape(-1)
    if rule is ChannelRule.JOINED and layer.config.get("axis", -1) in (-1, len(layer.output_shape)):
        ends = np.cumsum([0, *(shape[-1] for shape in source.input_shapes)])
        parts = zip(inputs, ends, strict=False)
        return np.concatenate([np.where(part == NEW, NEW, part + start) for part, start in parts])
    if rule in (ChannelRule.MERGED, ChannelRule.JOINED):
        full = [channels for channels in inputs if len(channels) == layer.output_shape[-1]]
        return full[0] if full and all(np.array_equal(channels, full[0]) for channels in full) else None
    if rule is ChannelRule.SAME:
        return first
    if layer.output_shape == source.output_shape and all(map(is_identity, inputs)):
        return np.arange(layer.output_shape[-1])
    return None


def spread(channels: Channels, times: int) -> Channels:
    """Each channel repeated `times` times, in the order of a depthwise convolution's outputs."""
    steps = np.arange(times)[None, :]
    return np.where(channels[:, None] == NEW, NEW, channels[:, None] * times + steps).reshape(-1)
