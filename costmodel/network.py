"""A network as plain data, read from the description that Keras 3 writes of a model.

`read_network` takes the dict of `model.to_json()` or `model.get_config()`, infers every shape itself and trusts
nothing in it. No layer is run or imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final

from costmodel.descriptions import MAX_LAYERS
from costmodel.errors import InvalidNetwork, UnsupportedLayer
from costmodel.layer import MAX_ELEMENTS, REPEATED, Config, Layer, Shape, elements
from costmodel.layer_classes import INPUT, LAYER_CLASSES, width_field

MAX_INPUTS: Final = 256
MAX_NAME: Final = 256
MAX_DEPTH: Final = 12
MAX_CALLS: Final = 64


@dataclass(frozen=True)
class Network:
    """Layers in topological order (input layers too), and the names of inputs and outputs."""

    layers: tuple[Layer, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    _by_name: Mapping[str, Layer] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {layer.name: layer for layer in self.layers})

    def layer(self, name: str) -> Layer:
        """The layer of this name; `InvalidNetwork` if there is none."""
        layer = self._by_name.get(name)
        if layer is None:
            raise InvalidNetwork(str(name)[:MAX_NAME], "name", "no layer has this name")
        return layer


def read_network(config: Mapping[str, Any]) -> Network:
    """The network described by `model.to_json()` (parsed) or `model.get_config()`.

    Functional and Sequential models. Raises `UnsupportedLayer` for a class without a price and `InvalidNetwork` for
    anything else: shapes that do not fit, lengths left open, models inside models, which `costmodel.descriptions.clean`
    puts into the outer one. A layer that is called several times is a layer of the network at each call, `NAME`,
    `NAME#2`, ...
    """
    body = _body(config)
    described = _layer_list(body)
    if "input_layers" in body or "output_layers" in body:
        nodes = [node for item in described for node in _nodes(item)]
        outputs = _references(body.get("output_layers"), "output_layers")
        inputs = _references(body.get("input_layers"), "input_layers")
    else:
        nodes = _chain(described, body)
        inputs, outputs = (nodes[0].name,), (nodes[-1].name,)
    return _assemble(nodes, inputs, outputs)


def with_widths(network: Network, widths: Mapping[str, int]) -> Network:
    """The network with other Dense units or convolution filters, its shapes inferred again.

    Raises `InvalidNetwork` for a layer without a width, a width below 1 and a width that breaks a later layer.
    """
    for name in widths:
        network.layer(name)
    layers = [
        _widened(layer, widths[layer.tensors_of]) if layer.tensors_of in widths else layer
        for layer in network.layers
    ]
    return _infer(layers, network.inputs, network.outputs)


def _widened(layer: Layer, width: int) -> Layer:
    field_name = width_field(layer.class_name)
    if field_name is None:
        raise InvalidNetwork(layer.name, "", f"{layer.class_name} has no width to change")
    Config(layer.name, {field_name: width}).integer(field_name)
    return replace(layer, config={**layer.config, field_name: width})


def _body(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part that lists the layers, whether or not it comes wrapped with its class name."""
    if not isinstance(config, Mapping):
        raise InvalidNetwork("", "", "must be the JSON object that Keras writes of a model")
    class_name = config.get("class_name")
    if class_name is None:
        return config
    if class_name not in ("Functional", "Sequential", "Model"):
        raise InvalidNetwork(
            "", "class_name", f"must be Functional or Sequential, is {str(class_name)[:40]!r}"
        )
    body = config.get("config")
    if not isinstance(body, Mapping):
        raise InvalidNetwork("", "config", "must be an object")
    return body


def _layer_list(body: Mapping[str, Any]) -> Sequence[Any]:
    layers = body.get("layers")
    if not isinstance(layers, list | tuple) or not layers:
        raise InvalidNetwork("", "layers", "must list at least one layer")
    if len(layers) > MAX_LAYERS:
        raise InvalidNetwork("", "layers", f"more than {MAX_LAYERS} layers")
    return layers


def _nodes(item: Any) -> list[Layer]:
    """One described layer, once for every call, with the names it reads from; shapes are still empty."""
    if not isinstance(item, Mapping):
        raise InvalidNetwork("", "layers", "every layer must be an object")
    values = item.get("config")
    if not isinstance(values, Mapping):
        raise InvalidNetwork("", "config", "every layer needs a config object")
    name = item.get("name", values.get("name"))
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or REPEATED in name:
        raise InvalidNetwork(
            "", "name", f"every layer needs a name of 1 to {MAX_NAME} characters without {REPEATED}"
        )
    class_name, nodes = _class_name(item, name), item.get("inbound_nodes", [])
    if not isinstance(nodes, list | tuple) or len(nodes) > MAX_CALLS:
        raise InvalidNetwork(name, "inbound_nodes", f"must be a list of at most {MAX_CALLS} calls")
    calls = [_inbound(node, name) for node in nodes] or [()]
    return [
        Layer(_call_name(name, index), class_name, values, sources, (), ())
        for index, sources in enumerate(calls)
    ]


def _call_name(name: str, index: int) -> str:
    """The name of a call of a layer, counted from 0."""
    return name if index == 0 else f"{name}{REPEATED}{index + 1}"


def _class_name(item: Mapping[str, Any], layer: str) -> str:
    class_name = item.get("class_name")
    if not isinstance(class_name, str):
        raise InvalidNetwork(layer, "class_name", "must be a string")
    if class_name not in LAYER_CLASSES:
        nested = class_name in ("Functional", "Sequential", "Model")
        hint = "a model inside a model: put its layers into the outer one" if nested else ""
        raise UnsupportedLayer(layer, class_name[:40], LAYER_CLASSES, hint)
    return class_name


def _inbound(node: Any, layer: str) -> tuple[str, ...]:
    if not isinstance(node, Mapping):
        raise InvalidNetwork(
            layer, "inbound_nodes", "is not in the format of Keras 3; save the model with Keras 3"
        )
    sources: list[str] = []
    _collect(node.get("args", ()), layer, sources, 0)
    named = node.get("kwargs", {})
    if not isinstance(named, Mapping):
        raise InvalidNetwork(layer, "inbound_nodes", "kwargs must be an object")
    for key in ("inputs", "query", "value", "key"):
        _collect(named.get(key), layer, sources, 0)
    _refuse_other_tensors(named, layer)
    return tuple(sources)


def _refuse_other_tensors(named: Mapping[str, Any], layer: str) -> None:
    for key, value in named.items():
        if key in ("inputs", "query", "value", "key") or "mask" in str(key):
            continue
        extra: list[str] = []
        _collect(value, layer, extra, 0)
        if extra:
            raise InvalidNetwork(
                layer, f"inbound_nodes.{str(key)[:40]}", "a tensor passed by this name is not priced"
            )


def _collect(value: Any, layer: str, sources: list[str], depth: int) -> None:
    """Append the names of the layers whose tensors are in `value` to `sources`, in order."""
    if depth > MAX_DEPTH:
        raise InvalidNetwork(layer, "inbound_nodes", "is nested too deeply")
    if isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__":
        inner = value.get("config")
        sources.append(_history(inner.get("keras_history") if isinstance(inner, Mapping) else None, layer))
        if len(sources) > MAX_INPUTS:
            raise InvalidNetwork(layer, "inbound_nodes", f"more than {MAX_INPUTS} inputs")
    elif isinstance(value, list | tuple):
        for item in value:
            _collect(item, layer, sources, depth + 1)
    elif isinstance(value, Mapping):
        for item in value.values():
            _collect(item, layer, sources, depth + 1)


def _history(history: Any, layer: str) -> str:
    if not isinstance(history, list | tuple) or len(history) != 3 or not isinstance(history[0], str):
        raise InvalidNetwork(layer, "keras_history", "must be a name and two numbers")
    name, call, output = history
    if isinstance(output, bool) or output != 0:
        raise InvalidNetwork(layer, "keras_history", f"takes a second output of {name[:40]!r}")
    if isinstance(call, bool) or not isinstance(call, int) or not 0 <= call < MAX_CALLS:
        raise InvalidNetwork(layer, "keras_history", f"takes a call of {name[:40]!r} that there is not")
    return _call_name(name, call)


def _references(value: Any, name: str) -> tuple[str, ...]:
    """Names out of [["a", 0, 0], ...], or ["a", 0, 0] as Keras writes a single one."""
    if not isinstance(value, list | tuple) or not value:
        raise InvalidNetwork("", name, "must name at least one layer")
    items = [value] if isinstance(value[0], str) else value
    return tuple(_history(item, name) for item in items)


def _chain(described: Sequence[Any], body: Mapping[str, Any]) -> list[Layer]:
    """A Sequential model's layers, each reading the one before; an input layer is put first if there is none."""
    nodes = [node for item in described for node in _nodes(item)]
    if nodes[0].class_name != INPUT:
        shape = body.get("build_input_shape") or _first_shape(described[0])
        if shape is None:
            raise InvalidNetwork(
                "", "build_input_shape", "the model was never built: its input shape is unknown"
            )
        names = {node.name for node in nodes}
        name = next(n for n in (f"input{i}" for i in range(len(nodes) + 1)) if n not in names)
        nodes.insert(0, Layer(name, INPUT, {"name": name, "batch_shape": shape}, (), (), ()))
    return [
        nodes[0],
        *(replace(node, inbound=(before.name,)) for before, node in pairwise(nodes)),
    ]


def _first_shape(item: Any) -> Any:
    built = item.get("build_config") if isinstance(item, Mapping) else None
    return built.get("input_shape") if isinstance(built, Mapping) else None


def _assemble(nodes: Sequence[Layer], inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Network:
    by_name = {node.name: node for node in nodes}
    if len(by_name) != len(nodes):
        raise InvalidNetwork("", "layers", "two layers have the same name")
    for name in (*inputs, *outputs):
        if name not in by_name:
            raise InvalidNetwork(name[:MAX_NAME], "", "is named as an input or output but not described")
    for node in nodes:
        for source in node.inbound:
            if source not in by_name:
                raise InvalidNetwork(
                    node.name, "inbound_nodes", f"reads {source[:40]!r}, which is not described"
                )
        if (node.class_name == INPUT) == bool(node.inbound):
            raise InvalidNetwork(
                node.name, "inbound_nodes", "an input reads no layer; every other layer reads at least one"
            )
    listed = [node.name for node in nodes if node.class_name == INPUT]
    if set(inputs) != set(listed):
        raise InvalidNetwork("", "input_layers", f"must name the input layers {', '.join(listed)[:200]}")
    return _infer(_sorted(nodes), inputs, outputs)


def _sorted(nodes: Sequence[Layer]) -> list[Layer]:
    """Every layer behind those it reads, otherwise in the order listed."""
    waiting = {node.name: len(set(node.inbound)) for node in nodes}
    readers: dict[str, list[Layer]] = {node.name: [] for node in nodes}
    for node in nodes:
        for source in set(node.inbound):
            readers[source].append(node)
    place = {node.name: index for index, node in enumerate(nodes)}
    ready = [node for node in nodes if not waiting[node.name]]
    done: list[Layer] = []
    while ready:
        node = ready.pop(0)
        done.append(node)
        freed = []
        for reader in readers[node.name]:
            waiting[reader.name] -= 1
            if not waiting[reader.name]:
                freed.append(reader)
        ready = sorted([*ready, *freed], key=lambda layer: place[layer.name]) if freed else ready
    if len(done) != len(nodes):
        stuck = next(name for name, count in waiting.items() if count)
        raise InvalidNetwork(stuck, "inbound_nodes", "reads, directly or indirectly, from itself")
    return done


def _infer(layers: Sequence[Layer], inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Network:
    """The network with every shape inferred from those of the input layers."""
    shapes: dict[str, Shape] = {}
    done = []
    for layer in layers:
        input_shapes = tuple(shapes[name] for name in layer.inbound)
        layer = replace(layer, input_shapes=input_shapes)
        shape = LAYER_CLASSES[layer.class_name].output_shape(layer)
        if elements(shape) > MAX_ELEMENTS:
            raise InvalidNetwork(
                layer.name, "output_shape", f"{shape} holds more than {MAX_ELEMENTS} numbers"
            )
        shapes[layer.name] = shape
        done.append(replace(layer, output_shape=shape))
    return Network(tuple(done), inputs, outputs)
