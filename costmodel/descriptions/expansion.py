"""Operators of a graph, and layers in place of activation functions, as layers of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from costmodel.descriptions.calls import is_tensor
from costmodel.descriptions.distribution import distributed
from costmodel.descriptions.functions import function_layer, function_name
from costmodel.descriptions.kinds import Walk, plain_items
from costmodel.descriptions.operators import MASK, is_operator, rewritten
from costmodel.descriptions.place import Place
from costmodel.layer_classes import DEFINED_LAYERS, LAYER_CLASSES

#: Applies a layer, or a model, to every step.
DISTRIBUTED: Final = "TimeDistributed"


@dataclass(frozen=True, slots=True)
class Entry:
    """A layer as it is described, and where.

    `mask`: it only makes a mask that Keras makes again. `added`: it was put behind the layer it reads, whose output it
    stands for wherever else that is read. `inside`: it is put around the layer at its place, in a model that is
    applied to every step.
    """

    item: Mapping[str, Any]
    place: Place
    mask: bool = False
    added: bool = False
    inside: bool = False


def expanded(entries: Sequence[Entry], is_functional: bool, walk: Walk) -> tuple[list[Entry], dict[str, str]]:
    """The entries with operators as layers, and layers in place of functions as layers of their own.

    Also returns which name stands for the output of a layer behind which one was put.
    """
    names = {name_of(entry.item) for entry in entries}
    done: list[Entry] = []
    renamed: dict[str, str] = {}
    operators: list[str] = []
    masked, masks = _masked_inputs(entries), set[str]()
    for entry in entries:
        if not isinstance(entry.item, Mapping) or not isinstance(entry.item.get("config"), Mapping):
            raise entry.place.fault("must be an object with a config")
        if entry.item.get("class_name") == DISTRIBUTED:
            split = _distributed(entry, is_functional)
            walk.notes.append(
                f"layer {name_of(entry.item)!r} is built as {_class_names(split)} over all steps"
            )
            done += split
            continue
        if is_functional and is_operator(entry.item):
            if _makes_mask(entry.item, masked, masks):
                masks.add(name_of(entry.item))
                done.append(Entry(entry.item, entry.place, mask=True))
            else:
                done.append(_as_layer(entry, operators))
            continue
        split = _split(entry, names, is_functional)
        done += split
        if len(split) > 1:
            name, added = name_of(entry.item), name_of(split[1].item)
            renamed[name] = added
            walk.notes.append(f"the activation of layer {name!r} is built as a layer of its own, {added!r}")
    if operators:
        more = f" and {len(operators) - 20} more" if len(operators) > 20 else ""
        walk.notes.append(f"operators are built as layers: {', '.join(operators[:20])}{more}")
    return done, renamed


def name_of(item: Any) -> str:
    """The name in a described layer's configuration; empty if it has none."""
    body = item.get("config") if isinstance(item, Mapping) else None
    name = body.get("name") if isinstance(body, Mapping) else None
    return name if isinstance(name, str) else ""


def _as_layer(entry: Entry, operators: list[str]) -> Entry:
    """An operator as the layer it is, called as often as it is: in a model that is called several times."""
    name = name_of(entry.item)
    place = Place(entry.place.path, name)
    calls = plain_items(entry.item.get("inbound_nodes")) or []
    layers = [rewritten({**entry.item, "inbound_nodes": [node]}, place) for node in calls or [None]]
    layer = layers[0]
    if any((other.class_name, other.config) != (layer.class_name, layer.config) for other in layers):
        raise place.fault("is called in ways that no layer is: put a layer in its place")
    operators.append(f"{name} ({layer.class_name})")
    item = {
        **_written_as(layer.class_name),
        "config": {"name": name, **layer.config},
        "name": name,
        "inbound_nodes": [_call_with(list(other.inputs)) for other in layers],
    }
    return Entry(item, place)


def _call_with(inputs: list[Any]) -> dict[str, Any]:
    return {"args": [inputs] if len(inputs) > 1 else inputs, "kwargs": {}}


def _written_as(class_name: str) -> dict[str, Any]:
    """Class, module and registered name, as Keras writes them."""
    registered = next((name for name, cls in DEFINED_LAYERS.items() if cls == class_name), None)
    module = "keras.layers" if registered is None else "quantization.layers.slicing"
    return {"module": module, "class_name": class_name, "registered_name": registered}


def _distributed(entry: Entry, is_functional: bool) -> list[Entry]:
    """A TimeDistributed as the layers it stands for, called as often as it is."""
    name = name_of(entry.item)
    items = distributed(entry.item, Place(entry.place.path, name))
    if is_functional:
        calls = plain_items(entry.item.get("inbound_nodes", [])) or []
        items[0]["inbound_nodes"] = calls
        for before, item in pairwise(items):
            item["inbound_nodes"] = [
                {"args": [_tensor(before["name"], number)], "kwargs": {}} for number in range(len(calls))
            ]
    place = entry.place if entry.inside else entry.place.at("config", "layer")
    return [Entry(item, Place(place.path, item["name"])) for item in items]


def _tensor(name: str, call: int = 0) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"shape": [], "keras_history": [name, call, 0]}}


def _class_names(entries: Sequence[Entry]) -> str:
    return " and ".join(entry.item["class_name"] for entry in entries)


def _masked_inputs(entries: Sequence[Entry]) -> set[tuple[Any, ...]]:
    """Histories of the tensors that a Masking, or an Embedding with mask_zero, reads."""
    return {
        tuple(map(str, history))
        for entry in entries
        if isinstance(entry.item, Mapping)
        and isinstance(entry.item.get("config"), Mapping)
        and (entry.item.get("class_name") == "Masking" or _masks_zeros(entry.item))
        for history in _read(entry.item)
        if history
    }


def _masks_zeros(item: Mapping[str, Any]) -> bool:
    is_embedding = item.get("class_name") in ("Embedding", "QuantizedEmbedding")
    return is_embedding and item["config"].get("mask_zero") is True


def _makes_mask(item: Mapping[str, Any], masked: set[tuple[Any, ...]], masks: set[str]) -> bool:
    """Whether an operator compares the input of what masks it, or is one of masks alone."""
    read = _read(item)
    if not read or not all(read):
        return False
    if item.get("class_name") == MASK and len(read) == 1 and tuple(map(str, read[0])) in masked:
        return True
    return all(str(history[0]) in masks for history in read)


def _read(item: Mapping[str, Any]) -> list[Any]:
    """Histories of the tensors that an entry's first call takes."""
    nodes = plain_items(item.get("inbound_nodes"))
    arguments = plain_items(nodes[0].get("args")) if nodes and isinstance(nodes[0], Mapping) else None
    values = [item for value in arguments or () for item in (value if isinstance(value, list) else [value])]
    return [
        plain_items(value["config"].get("keras_history"))
        for value in values
        if is_tensor(value) and isinstance(value.get("config"), Mapping)
    ]


def _split(entry: Entry, names: set[str], is_functional: bool) -> list[Entry]:
    """A layer whose function is given as a layer: without it, and the function behind it where it has no name."""
    item, body = entry.item, entry.item["config"]
    value, class_name = body.get("activation"), item.get("class_name")
    row = LAYER_CLASSES.get(class_name) if isinstance(class_name, str) else None
    is_layer = isinstance(value, Mapping) and value.get("class_name") not in ("function", None)
    if row is None or not is_layer or not (row.linear or class_name == "Activation"):
        return [entry]
    name = name_of(item)
    place = Place(entry.place.path, name).at("config", "activation")
    function, settings = function_layer(value, place)
    if function_name(function, settings) is not None or not name:
        return [entry]
    if class_name == "Activation":
        return [Entry({**item, "class_name": function, "config": {"name": name, **settings}}, entry.place)]
    if len(plain_items(item.get("inbound_nodes", [None])) or ()) != 1:
        raise place.fault("is a layer, and this layer is called more than once: put the layer behind it")
    added = next(
        text for text in (f"{name}_function{i or ''}" for i in range(len(names) + 1)) if text not in names
    )
    names.add(added)
    plain_item = {**item, "config": {**body, "activation": "linear"}}
    after: dict[str, Any] = {"class_name": function, "config": {"name": added, **settings}}
    if is_functional:
        after |= {"name": added, "inbound_nodes": [{"args": [_tensor(name)], "kwargs": {}}]}
    return [Entry(plain_item, entry.place), Entry(after, entry.place, added=True)]
