"""Models inside a model: their layers put into the outer one, under names that begin with the inner model's.

Works on what a stranger described: an inner model becomes its layers, each called once for every call of the model,
and what read the model's output reads the layer that gives it. The layers themselves are checked afterwards like all
others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from costmodel.descriptions.calls import MAX_CALLS, history, is_tensor, references
from costmodel.descriptions.expansion import DISTRIBUTED, Entry, name_of
from costmodel.descriptions.kinds import plain_items
from costmodel.descriptions.operators import is_operator
from costmodel.descriptions.place import Place, described, shown
from costmodel.layer_classes import INPUT

#: Classes of models and the modules Keras has written them under.
MODEL_MODULES: Final[Mapping[str, tuple[str | None, ...]]] = {
    "Functional": (None, "keras", "keras.models", "keras.src.models.functional"),
    "Model": (None, "keras", "keras.models", "keras.src.models.model"),
    "Sequential": (None, "keras", "keras.models", "keras.src.models.sequential"),
}
#: Models inside models inside models.
MAX_DEPTH: Final = 8
#: Nesting of lists in the arguments of a call.
_MAX_NESTING: Final = 6

#: [layer, call, output].
Reference = list[Any]


@dataclass
class Graph:
    """A model as calls of layers without models among them. `outputs`: what it returns, in order."""

    entries: list[Entry]
    inputs: list[str]
    outputs: list[Reference]
    notes: list[str] = field(default_factory=list)


def is_model(item: Any) -> bool:
    """Whether an entry among the layers is a model, or one applied to every step."""
    return _inner(item) is not None


def _inner(item: Any) -> Mapping[str, Any] | None:
    """The model that an entry is, or applies to every step."""
    if not isinstance(item, Mapping):
        return None
    class_name, body = item.get("class_name"), item.get("config")
    if isinstance(class_name, str) and class_name in MODEL_MODULES:
        return item
    wrapped = body.get("layer") if class_name == DISTRIBUTED and isinstance(body, Mapping) else None
    is_wrapped = isinstance(wrapped, Mapping) and wrapped.get("class_name") in MODEL_MODULES
    return wrapped if is_wrapped else None


def flattened(body: Mapping[str, Any], place: Place) -> Graph:
    """The model of a body (`name`, `layers`, perhaps `input_layers`) with the layers of the models inside in it.

    A Sequential model becomes a functional one, without an input layer if it states none. Raises `InvalidDescription`.
    """
    return _graph(body, place, 0)


def _graph(body: Mapping[str, Any], place: Place, depth: int) -> Graph:
    if depth > MAX_DEPTH:
        raise place.fault(f"is a model inside a model, more than {MAX_DEPTH} deep: flatten it before")
    items = body.get("layers")
    if not isinstance(items, list | tuple) or not items:
        raise place.fault("must be an object with a list of layers")
    entries = [Entry(item, place.at("layers", index)) for index, item in enumerate(items)]
    for entry in entries:
        if not isinstance(entry.item, Mapping) or not name_of(entry.item):
            raise entry.place.fault("must be an object with a config that has a name")
    if "input_layers" in body or "output_layers" in body:
        inputs = [name for name, _, _ in references(body.get("input_layers"), place.at("input_layers"))]
        outputs = references(body.get("output_layers"), place.at("output_layers"))
    else:
        entries, inputs = _chain(entries, body)
        outputs = [[name_of(entries[-1].item), 0, 0]]
    return _Inlining(entries, inputs, outputs, depth).graph()


def _chain(entries: Sequence[Entry], body: Mapping[str, Any]) -> tuple[list[Entry], list[str]]:
    """A Sequential model's layers, each called on the one before; an input layer of its own is put first."""
    first = entries[0]
    if first.item.get("class_name") != INPUT:
        shape = body.get("build_input_shape") or _built_shape(first.item)
        name = "input"
        while any(name == name_of(entry.item) for entry in entries):
            name += "_"
        config = {"name": name, "batch_shape": shape, "dtype": "float32"}
        item = {"module": "keras.layers", "class_name": INPUT, "config": config, "registered_name": None}
        entries = [Entry(item, first.place), *entries]
    done = [Entry({**entries[0].item, "inbound_nodes": []}, entries[0].place)]
    for before, entry in pairwise(entries):
        node = {"args": [_tensor([name_of(before.item), 0, 0])], "kwargs": {}}
        done.append(Entry({**entry.item, "inbound_nodes": [node]}, entry.place))
    return done, [name_of(entries[0].item)]


def _built_shape(item: Mapping[str, Any]) -> Any:
    built = item.get("build_config")
    return built.get("input_shape") if isinstance(built, Mapping) else None


def _tensor(reference: Reference) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"shape": [], "keras_history": reference}}


class _Inlining:
    """The calls of one model, with those of the models inside in their place."""

    def __init__(
        self, entries: Sequence[Entry], inputs: list[str], outputs: list[Reference], depth: int
    ) -> None:
        self._entries, self._inputs, self._outputs, self._depth = entries, inputs, outputs, depth
        self._names = {name_of(entry.item) for entry in entries}
        self._results: dict[str, list[list[Reference]]] = {}  # inner model -> of each call, what it returns
        self._notes: list[str] = []

    def graph(self) -> Graph:
        """The model without models inside."""
        done: list[Entry] = []
        for entry in self._entries:
            done += self._inlined(entry) if is_model(entry.item) else [entry]
        entries = [Entry(_rewired(entry, self._resolved), entry.place, inside=entry.inside) for entry in done]
        outputs = [self._resolved(reference) for reference in self._outputs]
        return Graph(entries, self._inputs, outputs, self._notes)

    def _resolved(self, reference: Reference) -> Reference:
        """The layer that gives what a reference to an inner model stands for."""
        for _ in range(10_000):  # a model that returns its input is passed through
            if reference[0] not in self._results:
                return reference
            calls = self._results[reference[0]]
            if reference[1] >= len(calls) or reference[2] >= len(calls[reference[1]]):
                raise Place().fault(f"reads an output that {shown(reference[0])} does not have")
            reference = calls[reference[1]][reference[2]]
        raise Place().fault("reads, directly or indirectly, from itself")

    def _inlined(self, entry: Entry) -> list[Entry]:
        model = _inner(entry.item)
        assert model is not None
        place = entry.place if model is entry.item else entry.place.at("config", "layer")
        _check_model(model, place)
        inner = _graph(model["config"], place.at("config"), self._depth + 1)
        name = name_of(entry.item)
        names = {name_of(part.item): self._new_name(name, name_of(part.item)) for part in inner.entries}
        calls = [self._call(node, len(inner.inputs), entry) for node in _nodes(entry)]
        self._notes += [
            f"the layers of model {name!r} are built under names that begin with it",
            *inner.notes,
        ]
        counts = {name_of(part.item): len(_nodes(part)) for part in inner.entries}
        frozen = entry.item["config"].get("trainable") is False or model["config"].get("trainable") is False

        def inside(number: int) -> Callable[[Reference], Reference]:
            def outer(reference: Reference) -> Reference:
                if reference[0] in inner.inputs:
                    return calls[number].tensors[inner.inputs.index(reference[0])]
                if reference[0] not in counts:
                    raise place.fault(f"reads {shown(reference[0])}, which is not described")
                return [names[reference[0]], number * counts[reference[0]] + reference[1], reference[2]]

            return outer

        self._results[name] = [
            [inside(number)(reference) for reference in inner.outputs] for number in range(len(calls))
        ]
        layers = []
        for part in inner.entries:
            if name_of(part.item) in inner.inputs:
                continue
            if len(calls) * counts[name_of(part.item)] > MAX_CALLS:
                raise part.place.fault(f"is called more than {MAX_CALLS} times")
            nodes = [
                _inference(_mapped(node, inside(number)), calls[number].at_inference, part)
                for number in range(len(calls))
                for node in _nodes(part)
            ]
            item = _renamed(part.item, names[name_of(part.item)], frozen=frozen)
            if model is not entry.item:
                item = _distributed(item, part, entry.item)
            is_inside = model is not entry.item
            layers.append(
                Entry({**item, "inbound_nodes": nodes}, part.place, inside=is_inside or part.inside)
            )
        return layers

    def _new_name(self, model: str, layer: str) -> str:
        name = f"{model}_{layer}"
        while name in self._names:
            name += "_"
        self._names.add(name)
        return name

    def _call(self, node: Any, inputs: int, entry: Entry) -> _Call:
        place = Place(entry.place.path, name_of(entry.item)).at("inbound_nodes")
        named = node.get("kwargs") or {}
        if not isinstance(named, Mapping):
            raise place.fault("is not in the format of Keras 3; save the model with Keras 3")
        training = named.get("training")
        if training not in (None, False):
            raise place.fault(f"calls a model with training={described(training)}; only False can be built")
        for key in named:
            if key not in ("training", "mask", "inputs"):
                raise place.fault(f"calls a model with {shown(key)}; allowed: inputs, training=False")
        tensors = _tensors_in([node.get("args", []), named.get("inputs")], place, 0)
        if len(tensors) != inputs:
            raise place.fault(f"calls a model of {inputs} inputs with {len(tensors)} tensors")
        return _Call(tensors, training is False)


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of an inner model: what it takes, and whether it says that it does not train."""

    tensors: list[Reference]
    at_inference: bool


def _nodes(entry: Entry) -> list[Any]:
    nodes = entry.item.get("inbound_nodes", [])
    if not isinstance(nodes, list) or len(nodes) > MAX_CALLS:
        raise entry.place.fault(f"must be called at most {MAX_CALLS} times")
    if any(not isinstance(node, Mapping) for node in nodes):
        raise entry.place.fault("is not in the format of Keras 3; save the model with Keras 3")
    return nodes


def _check_model(model: Mapping[str, Any], place: Place) -> None:
    class_name, registered = model["class_name"], model.get("registered_name")
    if registered not in (None, class_name):
        raise place.at("registered_name").fault(f"is {described(registered)}: custom objects are not built")
    if model.get("module") not in MODEL_MODULES[class_name]:
        raise place.at("module").fault(f"is {described(model.get('module'))}: custom models are not built")
    if not isinstance(model.get("config"), Mapping):
        raise place.at("config").fault("must be an object with a list of layers")


def _tensors_in(value: Any, place: Place, depth: int) -> list[Reference]:
    """References to all tensors in the arguments of a call; those of a mapping in the order of its keys."""
    if depth > _MAX_NESTING:
        raise place.fault("is nested too deeply")
    if is_tensor(value):
        body = value.get("config")
        return [history(body.get("keras_history") if isinstance(body, Mapping) else None, place)]
    if isinstance(value, Mapping) and value.get("class_name") != "__tuple__":
        items: Sequence[Any] = [value[key] for key in sorted(value, key=str)]
    else:
        items = plain_items(value, 256) or []
    return [reference for item in items for reference in _tensors_in(item, place, depth + 1)]


def _mapped(value: Any, moved: Callable[[Reference], Reference], depth: int = 0) -> Any:
    """A call with other references to tensors."""
    if depth > _MAX_NESTING + 4:
        raise Place().fault("is nested too deeply")
    if is_tensor(value):
        body = value.get("config")
        if not isinstance(body, Mapping):
            raise Place().fault("is no tensor as Keras writes it")
        reference = moved(history(body.get("keras_history"), Place()))
        return {**value, "config": {**body, "keras_history": reference}}
    if isinstance(value, Mapping):
        return {key: _mapped(item, moved, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(item, moved, depth + 1) for item in value]
    return value


def _rewired(entry: Entry, moved: Callable[[Reference], Reference]) -> dict[str, Any]:
    nodes = [_mapped(node, moved) for node in _nodes(entry)]
    return {**entry.item, "inbound_nodes": nodes}


def _inference(node: dict[str, Any], at_inference: bool, entry: Entry) -> dict[str, Any]:
    """A call that does not train if the call of its model does not."""
    if not at_inference or is_operator(entry.item):
        return node
    named = node.get("kwargs")
    named = dict(named) if isinstance(named, Mapping) else {}
    return {**node, "kwargs": {**named, "training": named.get("training") or False}}


def _renamed(item: Mapping[str, Any], name: str, *, frozen: bool) -> dict[str, Any]:
    config = {**item["config"], "name": name, **({"trainable": False} if frozen else {})}
    if is_operator(item):
        config.pop("trainable", None)
    return {**item, "name": name, "config": config}


def _distributed(item: dict[str, Any], entry: Entry, wrapper: Mapping[str, Any]) -> dict[str, Any]:
    """A layer of a model that is applied to every step, applied to every step."""
    if is_operator(item):
        raise entry.place.fault(
            "is an operator in a model under TimeDistributed: put TimeDistributed around its layers, one by one"
        )
    name = item["config"]["name"]
    config = {"name": name, "trainable": True, "layer": {**item, "inbound_nodes": []}}
    steps, inside = (plain_items(_built_shape(part)) or [] for part in (wrapper, item))
    return {
        "module": "keras.layers",
        "class_name": DISTRIBUTED,
        "config": config,
        "registered_name": None,
        "name": name,
        "build_config": {"input_shape": [*steps[:2], *inside[1:]]},
    }
