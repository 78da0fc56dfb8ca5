"""Which channels of one network are which of the same network at other widths. Plain numpy; nothing loads Keras.

A narrower layer keeps the channels of the largest magnitude, a wider one all of them and new ones; whoever reads it
takes the inputs that belong to them. Layers tied through an addition keep the same ones.
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

#: For each channel the one it is in the other network; NEW where there is none.
Channels: TypeAlias = NDArray[np.int64]
NEW: Final = -1


@dataclass(frozen=True)
class Slice:
    """What the channels of a layer's inputs and of its output are in the other network; None: not known."""

    inputs: tuple[Channels | None, ...]
    output: Channels | None

    @property
    def is_whole(self) -> bool:
        """Whether every channel is the one at the same place."""
        return all(is_identity(each) for each in (*self.inputs, self.output))


def is_identity(channels: Channels | None) -> bool:
    """Whether every channel is the one at the same place."""
    return channels is not None and bool(np.array_equal(channels, np.arange(len(channels))))


def slices(
    source: Network, target: Network, magnitudes: Callable[[str], NDArray[np.float64]]
) -> dict[str, Slice]:
    """Layer of `target` -> which channels of `source` it stands on; layers that `source` lacks are left out.

    `magnitudes`: name of a layer of `source` -> how much each of its channels weighs. Of equal ones the first are
    kept; the kept ones keep their order. Ties: the sum over the tied layers, each divided by its mean.
    """
    walk = _Walk(source, target, magnitudes)
    for layer in target.layers:
        walk.visit(layer)
    return walk.found


class _Walk:
    """The layers of the target in order, each after those it reads."""

    def __init__(
        self, source: Network, target: Network, magnitudes: Callable[[str], NDArray[np.float64]]
    ) -> None:
        self.found: dict[str, Slice] = {}
        self._source = {layer.name: layer for layer in source.layers}
        self._magnitudes = magnitudes
        groups, _ = widths.tunable_groups(source)
        self._group_of = {name: group for group in groups for name in group}
        self._kept: dict[tuple[tuple[str, ...], int], Channels] = {}

    def visit(self, layer: Layer) -> None:
        """Work out a layer's slice."""
        there = self._source.get(layer.name)
        if there is None or there.class_name != layer.class_name:
            return
        known = [self.found.get(name) for name in layer.inbound]
        inputs = tuple(None if each is None else each.output for each in known)
        self.found[layer.name] = Slice(inputs, self._output(layer, there, inputs))

    def _output(self, layer: Layer, there: Layer, inputs: Sequence[Channels | None]) -> Channels | None:
        size = layer.output_shape[-1]
        if layer.class_name == INPUT:
            return np.arange(size)
        if layer.config.get("data_format") == "channels_first" and not all(map(is_identity, inputs)):
            return None
        if LAYER_CLASSES[layer.class_name].channels is ChannelRule.OWN:
            return self._chosen(layer.name, there.output_shape[-1], size)
        if any(each is None for each in inputs):
            return None
        whole = [each for each in inputs if each is not None]
        return _passed(layer, there, whole)

    def _chosen(self, name: str, before: int, now: int) -> Channels:
        if now >= before:
            return np.concatenate([np.arange(before), np.full(now - before, NEW)])
        group = self._group_of.get(name, (name,))
        if (group, now) not in self._kept:
            weighed = sum(weights / (weights.mean() or 1.0) for weights in map(self._magnitudes, group))
            heaviest = np.argsort(-np.asarray(weighed), kind="stable")[:now]
            self._kept[group, now] = np.sort(heaviest).astype(np.int64)
        return self._kept[group, now]


def _passed(layer: Layer, there: Layer, inputs: Sequence[Channels]) -> Channels | None:
    """The output's channels of a layer that makes none of its own."""
    rule, first = LAYER_CLASSES[layer.class_name].channels, inputs[0]
    if rule is ChannelRule.MULTIPLIED:
        return spread(first, int(layer.config.get("depth_multiplier", 1) or 1))
    if rule is ChannelRule.FLATTENED:
        places = there.output_shape[-1] // max(there.input_shapes[0][-1], 1)
        steps = np.arange(places)[:, None] * there.input_shapes[0][-1]
        return np.where(first[None, :] == NEW, NEW, first[None, :] + steps).reshape(-1)
    if rule is ChannelRule.JOINED and layer.config.get("axis", -1) in (-1, len(layer.output_shape)):
        ends = np.cumsum([0, *(shape[-1] for shape in there.input_shapes)])
        parts = zip(inputs, ends, strict=False)
        return np.concatenate([np.where(each == NEW, NEW, each + start) for each, start in parts])
    if rule in (ChannelRule.MERGED, ChannelRule.JOINED):
        full = [each for each in inputs if len(each) == layer.output_shape[-1]]
        return full[0] if full and all(np.array_equal(each, full[0]) for each in full) else None
    if rule is ChannelRule.SAME:
        return first
    if layer.output_shape == there.output_shape and all(map(is_identity, inputs)):
        return np.arange(layer.output_shape[-1])
    return None


def spread(channels: Channels, times: int) -> Channels:
    """Each channel so many times, as a depthwise convolution has them."""
    steps = np.arange(times)[None, :]
    return np.where(channels[:, None] == NEW, NEW, channels[:, None] * times + steps).reshape(-1)
