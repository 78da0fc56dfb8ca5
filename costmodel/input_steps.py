"""Layers that only scale a network's input, taken out of it: they become preprocessing of the examples. Plain.

A Rescaling or Normalization that stands first computes x * scale + offset with constants. Done once to the examples, it
costs nothing on the device, and the input's quantizer sees the scaled numbers. Works on cleaned descriptions
(`costmodel.descriptions`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from costmodel.descriptions.calls import is_tensor
from costmodel.layer_classes import INPUT
from costmodel.rescaling import Numbers, constants

#: Classes that may be taken out.
RESCALING: Final = ("Rescaling", "Normalization")
#: Layers that move, select or interpolate numbers of one channel: whatever scales these does so before them as well.
_PASSED: Final = frozenset(
    {"Identity", "CenterCrop", "Resizing", "Cropping1D", "Cropping2D", "Cropping3D", "RandomFlip"}
)
#: The same, where what is drawn from outside of the image is taken from inside.
_PASSED_IF_FILLED: Final = frozenset({"RandomRotation", "RandomZoom", "RandomTranslation", "RandomShear"})


@dataclass(frozen=True, slots=True)
class InputSteps:
    """What the first layers of a network do to one input: x * scale + offset, by one number or one for each channel.

    `standardizes`: before that, mean and deviation of each feature in the training part are taken out, as `adapt` does.
    `layers`: the layers that say so.
    """

    scale: Numbers = (1.0,)
    offset: Numbers = (0.0,)
    standardizes: bool = False
    layers: tuple[str, ...] = ()

    def then(self, name: str, values: tuple[Numbers, Numbers] | None) -> InputSteps:
        """With a layer behind; `values`: its scale and offset, None where it standardizes."""
        layers = (*self.layers, name)
        if values is None:  # which undoes whatever was done before, but for its sign
            signs = tuple(1.0 if value > 0 else -1.0 for value in self.scale)
            return InputSteps(signs, standardizes=True, layers=layers)
        scale, offset = values
        count = max(len(numbers) for numbers in (self.scale, self.offset, scale, offset))
        own, shift, more, added = (_spread(part, count) for part in (self.scale, self.offset, scale, offset))
        return replace(
            self,
            scale=tuple(a * b for a, b in zip(own, more, strict=True)),
            offset=tuple(a * b + c for a, b, c in zip(shift, more, added, strict=True)),
            layers=layers,
        )


NO_STEPS: Final = InputSteps()


def _spread(numbers: Numbers, count: int) -> Numbers:
    return numbers if len(numbers) == count else numbers * count


def without_input_steps(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, InputSteps]]:
    """A description without the layers that only scale an input, and what they do: input layer -> its steps."""
    body = document["config"]
    graph = _Graph(body)
    steps = {name: taken for name in graph.inputs if (taken := graph.steps(name)).layers}
    removed = {name for taken in steps.values() for name in taken.layers}
    if not removed:
        return dict(document), {}
    layers = [_rewired(layer, graph, removed) for layer in body["layers"] if _name(layer) not in removed]
    return {**document, "config": {**body, "layers": layers}}, steps


def _name(layer: Mapping[str, Any]) -> str:
    return str(layer["config"]["name"])


class _Graph:
    """Who reads whom in a description."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.layers = {_name(layer): layer for layer in body["layers"]}
        self.inputs = [name for name, layer in self.layers.items() if layer["class_name"] == INPUT]
        self.sources: dict[str, list[str]] = {}
        self._readers: dict[str, list[str]] = {name: [] for name in self.layers}
        is_functional = "output_layers" in body
        before: list[str] = []
        for name, layer in self.layers.items():
            read = [history[0] for history in _histories(layer.get("inbound_nodes", []))]
            self.sources[name] = read if is_functional else before
            before = [name]
        for name, read in self.sources.items():
            for source in read:
                self._readers.get(source, []).append(name)
        self._ends = set(_names_in(body["output_layers"])) if is_functional else set(before)

    def steps(self, name: str) -> InputSteps:
        """What the layers behind an input do to it, as far as each is the only one that reads the one before."""
        steps, source = NO_STEPS, self.layers[name]
        channels = _channels(source)
        while name not in self._ends and len(self._readers[name]) == 1:
            name = self._readers[name][0]
            layer = self.layers[name]
            if len(self.sources[name]) != 1 or name in self._ends:
                break
            if layer["class_name"] in RESCALING:
                if not _is_along_channels(layer, source):
                    break
                values = constants(layer["class_name"], layer["config"])
                if values is not None and not _fit(values, channels):
                    break
                steps = steps.then(name, values)
            elif not _passes(layer):
                break
        return steps


def _channels(layer: Mapping[str, Any]) -> int | None:
    shape = layer["config"].get("batch_shape") or [None]
    return shape[-1] if len(shape) > 1 else None


def _fit(values: tuple[Numbers, Numbers], channels: int | None) -> bool:
    """Whether constants are one for all or one for each channel, and nothing is multiplied by 0."""
    return all(len(numbers) in (1, channels) for numbers in values) and 0.0 not in values[0]


def _is_along_channels(layer: Mapping[str, Any], source: Mapping[str, Any]) -> bool:
    """Whether a normalization has one mean for each channel, or one for all."""
    config = layer["config"]
    if layer["class_name"] == "Rescaling":
        return True
    axis = config.get("axis", -1)
    axes = list(axis) if isinstance(axis, list | tuple) else [axis]
    rank = len(source["config"].get("batch_shape") or ())
    if config.get("mean") is None:
        return not config.get("invert") and axes in ([-1], [rank - 1])
    return axes in ([-1], [rank - 1]) or not isinstance(config["mean"], list)


def _passes(layer: Mapping[str, Any]) -> bool:
    filled = layer["config"].get("fill_mode", "reflect") != "constant"
    return layer["class_name"] in _PASSED or (layer["class_name"] in _PASSED_IF_FILLED and filled)


def _rewired(layer: Mapping[str, Any], graph: _Graph, removed: set[str]) -> dict[str, Any]:
    """A layer that reads what the removed ones read."""
    if "inbound_nodes" not in layer:
        return dict(layer)
    return {**layer, "inbound_nodes": _moved(layer["inbound_nodes"], graph, removed)}


def _moved(value: Any, graph: _Graph, removed: set[str]) -> Any:
    if is_tensor(value):
        name, call, output = value["config"]["keras_history"]
        while name in removed:
            name = graph.sources[name][0]
        return {**value, "config": {**value["config"], "keras_history": [name, call, output]}}
    if isinstance(value, Mapping):
        return {key: _moved(item, graph, removed) for key, item in value.items()}
    return [_moved(item, graph, removed) for item in value] if isinstance(value, list) else value


def _histories(value: Any) -> Iterator[list[Any]]:
    if is_tensor(value):
        yield value["config"]["keras_history"]
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _histories(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _histories(item)


def _names_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _names_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _names_in(item)
