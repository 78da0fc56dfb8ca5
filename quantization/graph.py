"""The graph of a model: which layers it calls, in order, on what. The one place that reads Keras' records of calls.

A layer remembers every call of every model it was ever part of, and `layer.input` is that of its first; a Sequential
calls its layers again for each one that is added. What a model computes is what leads from its inputs to its outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

Shape = tuple[int | None, ...]


class NoGraph(ValueError):
    """A model has no graph that can be read: its inputs are not known yet, or it is not made of layers."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer in a model.

    `name`: the layer's, with "#2", "#3" ... from its second call in the model on. `sources`: the calls whose outputs
    it takes, by name, in order; none for an input. `inputs`, `outputs`: symbolic tensors.
    """

    name: str
    layer: Any
    sources: tuple[str, ...]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]

    @property
    def is_input(self) -> bool:
        """Whether it is one of the model's inputs."""
        return not self.sources

    @property
    def input_shape(self) -> Shape:
        """Shape of the first input, the batch included."""
        return tuple(self.inputs[0].shape)


class ModelGraph:
    """The calls of a built model, functional or Sequential, each after those it reads. Raises `NoGraph`."""

    def __init__(self, model: keras.Model) -> None:
        if not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
            raise NoGraph(
                f"model {model.name!r} has no graph yet: begin it with keras.Input, or call it once on data"
            )
        self.calls = _calls(model)
        self._by_name = {call.name: call for call in self.calls}
        by_tensor = {id(tensor): call.name for call in self.calls for tensor in call.outputs}
        self.inputs = tuple(by_tensor[id(tensor)] for tensor in model.inputs if id(tensor) in by_tensor)
        self.outputs = tuple(by_tensor[id(tensor)] for tensor in model.outputs)

    def __iter__(self) -> Iterator[Call]:
        return iter(self.calls)

    def call(self, name: str) -> Call:
        """A call by its name."""
        return self._by_name[name]

    def calls_of(self, layer: Any) -> tuple[Call, ...]:
        """The calls of a layer, given itself or by its name, in this model."""
        return tuple(call for call in self.calls if layer in (call.layer, call.layer.name))

    def readers(self, name: str) -> tuple[Call, ...]:
        """The calls that take the output of a call."""
        return tuple(call for call in self.calls if name in call.sources)


def input_shape(model: keras.Model, layer: Any) -> Shape:
    """Shape of the first input, the batch included, with which a model calls a layer (the first time)."""
    return ModelGraph(model).calls_of(layer)[0].input_shape


def _calls(model: keras.Model) -> tuple[Call, ...]:
    """Depth first from the outputs, so that everything comes after what it reads; without recursion."""
    stops = {id(tensor) for tensor in model.inputs}
    order: list[Any] = []
    done: set[int] = set()
    pending = [(_node(tensor), False) for tensor in reversed(model.outputs)]
    while pending:
        node, is_read = pending.pop()
        if is_read:
            order.append(node)
        elif id(node) not in done:
            done.add(id(node))
            pending.append((node, True))
            if not any(id(tensor) in stops for tensor in node.outputs):
                pending += [(_node(tensor), False) for tensor in reversed(node.input_tensors)]
    return _named(order, stops)


def _node(tensor: Any) -> Any:
    """The record of the call that made a symbolic tensor."""
    history = getattr(tensor, "_keras_history", None)
    if history is None or history.operation is None:
        raise NoGraph(f"tensor {tensor.name!r} comes from no layer")
    return history.operation._inbound_nodes[history.node_index]


def _named(nodes: list[Any], stops: set[int]) -> tuple[Call, ...]:
    counts: dict[str, int] = {}
    makers: dict[int, str] = {}
    calls = []
    for node in nodes:
        layer = node.operation
        number = counts[layer.name] = counts.get(layer.name, 0) + 1
        name = layer.name if number == 1 else f"{layer.name}#{number}"
        outputs = tuple(node.outputs)
        is_start = any(id(tensor) in stops for tensor in outputs)
        inputs = () if is_start else tuple(node.input_tensors)
        calls.append(Call(name, layer, tuple(makers[id(tensor)] for tensor in inputs), inputs, outputs))
        makers |= dict.fromkeys(map(id, outputs), name)
    return tuple(calls)
