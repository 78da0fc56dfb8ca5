"""One walk over Keras' description of a network: what is allowed in it is rebuilt, all else is refused.

Keras builds whatever a description names: classes out of any module, functions, files. The description that leaves here
holds layers of the table (`costmodel.layer_classes`) with their fields (`costmodel.descriptions.fields`) and tensors
between them, nothing else. Everyone who takes a description of a stranger's takes it from here: cost, dry run, uploads
and workers accept the same networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from costmodel.descriptions.calls import clean_calls, is_tensor, references
from costmodel.descriptions.expansion import Entry, expanded, name_of
from costmodel.descriptions.kinds import Walk, plain_items
from costmodel.descriptions.layers import NAME, check_keys, clean_layer
from costmodel.descriptions.nesting import MODEL_MODULES, flattened, is_model
from costmodel.descriptions.operators import is_operator
from costmodel.descriptions.place import Place, described, shown
from costmodel.descriptions.saved_names import SavedNames
from costmodel.layer_classes import DEFINED_LAYERS, INPUT, KERAS_LAYERS

MAX_LAYERS: Final = 5000

#: Fields of a model that Keras writes itself, and building a network does not need.
_DROPPED: Final = frozenset({"build_config", "compile_config", "keras_version", "backend"})
_MODEL: Final = frozenset({"module", "class_name", "config", "registered_name"})
_BODY: Final = frozenset(
    {"name", "trainable", "dtype", "layers", "input_layers", "output_layers", "build_input_shape"}
)


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A description with nothing in it but what is allowed, and what was changed on the way, for its user."""

    document: dict[str, Any]
    notes: tuple[str, ...]
    saved_names: Mapping[str, str]  #: layer -> its path in a file of the described model's weights


def clean(
    document: Any,
    *,
    classes: frozenset[str] = KERAS_LAYERS,
    own: Mapping[str, str] | None = None,
    exact_types: bool = False,
    built: bool = True,
    place: Place = Place(),  # noqa: B008 -- frozen
) -> Cleaned:
    """The description of a network, rebuilt from what is allowed in it.

    `document`: what `model.to_json()` writes or `model.get_config()` returns, functional or Sequential. `classes`: the
    layers that may stand in it. `own`: registered name -> class in the table, of layers besides Keras'. `exact_types`:
    keep policies of data types; without it they become float32. `built`: the shape of the input must be known. Raises
    `InvalidDescription`, with the path of the first thing that is not allowed.
    """
    walk = Walk(classes, {**DEFINED_LAYERS, **(own or {})}, exact_types)
    class_name, body, place = _body(document, place)
    items = body.get("layers")
    if not isinstance(items, list | tuple):
        raise place.fault("must be an object with a list of layers")
    if not 1 <= len(items) <= MAX_LAYERS:
        raise place.at("layers").fault(f"lists {len(items)} layers; 1 to {MAX_LAYERS} are allowed")
    names = SavedNames(body, place.path)
    entries = [Entry(item, place.at("layers", index)) for index, item in enumerate(items)]
    if any(is_model(item) for item in items):
        flat = flattened(body, place)
        class_name, entries = "Functional", flat.entries
        body = {**body, "input_layers": [[name, 0, 0] for name in flat.inputs], "output_layers": flat.outputs}
        walk.notes += flat.notes
    if len(entries) > MAX_LAYERS:
        raise place.at("layers").fault(f"lists {len(entries)} layers; 1 to {MAX_LAYERS} are allowed")
    _refuse_sharing(entries)
    is_functional = class_name == "Functional"
    entries, renamed = expanded(entries, is_functional, walk)
    layers = _layers(entries, renamed, is_functional, walk)
    config = {"name": _model_name(body), "trainable": body.get("trainable") is not False, "layers": layers}
    if is_functional:
        for key in ("input_layers", "output_layers"):
            config[key] = _ends(body.get(key), renamed if key == "output_layers" else {}, place.at(key))
    else:
        _put_input(layers, items[0], body, place, is_needed=built)
    cleaned = {"module": "keras", "class_name": class_name, "config": config, "registered_name": None}
    saved = {name_of(entry.item): names.of(entry.place.path) for entry in entries if not entry.mask}
    return Cleaned(cleaned, (*walk.notes, *_type_notes(walk)), saved)


def _refuse_sharing(entries: Sequence[Entry]) -> None:
    """Refuse one layer in two models: a description builds it twice, with weights of its own each time."""
    names: dict[Any, str] = {}
    for entry in entries:
        number = entry.item.get("shared_object_id") if isinstance(entry.item, Mapping) else None
        if not isinstance(number, int) or is_operator(entry.item):
            continue
        if number in names:
            other = shown(names[number])
            raise Place(entry.place.path, name_of(entry.item)).fault(
                f"is the layer {other}, shared between models: share a whole model instead, or call the layer in one"
            )
        names[number] = name_of(entry.item)


def _body(document: Any, place: Place) -> tuple[str, Mapping[str, Any], Place]:
    """Class of the model, the part that lists its layers, and where that is."""
    if not isinstance(document, Mapping):
        raise place.fault("must be the JSON object that Keras writes of a model")
    if "class_name" not in document:
        body: Any = document
    else:
        class_name = document["class_name"]
        if not isinstance(class_name, str) or class_name not in MODEL_MODULES:
            raise place.at("class_name").fault(
                f"must be Functional or Sequential, not {shown(class_name)}: custom classes are not built"
            )
        module, registered = document.get("module"), document.get("registered_name")
        if module not in MODEL_MODULES[class_name]:
            allowed = ", ".join(name for name in MODEL_MODULES[class_name] if name)
            raise place.at("module").fault(f"is {described(module)}; allowed: {allowed}")
        if registered not in (None, class_name):
            raise place.at("registered_name").fault(
                f"is {described(registered)}: custom objects are not built"
            )
        check_keys(document, _MODEL | _DROPPED, place)
        body, place = document.get("config"), place.at("config")
    if not isinstance(body, Mapping):
        raise place.fault("must be an object with a list of layers")
    check_keys(body, _BODY, place)
    is_functional = "input_layers" in body or "output_layers" in body
    return "Functional" if is_functional else "Sequential", body, place


def _model_name(body: Mapping[str, Any]) -> str:
    name = body.get("name")
    return name if isinstance(name, str) and NAME.fullmatch(name) else "model"


def _ends(value: Any, renamed: Mapping[str, str], place: Place) -> list[Any]:
    named = [[renamed.get(name, name), call, output] for name, call, output in references(value, place)]
    return named[0] if len(named) == 1 else named


def _type_notes(walk: Walk) -> list[str]:
    if not walk.retyped:
        return []
    policies = ", ".join(sorted(set(walk.retyped.values())))
    return [
        f"the model was described with {policies}; trials train in float32, in which quantized values are exact"
    ]


def _layers(
    entries: Sequence[Entry], renamed: Mapping[str, str], is_functional: bool, walk: Walk
) -> list[dict[str, Any]]:
    masks = frozenset(name_of(entry.item) for entry in entries if entry.mask)
    layers: list[dict[str, Any]] = []
    names: set[str] = set()
    for entry in entries:
        if entry.mask:
            continue
        layer = clean_layer(entry.item, entry.place, walk)
        name = layer["config"]["name"]
        if name in names:
            raise entry.place.fault(f"two layers have the same name, {name!r}")
        names.add(name)
        if is_functional:
            layer |= {"name": name, "inbound_nodes": _calls(entry, layer, masks, renamed, walk)}
        layers.append(layer)
    return layers


def _calls(
    entry: Entry, layer: Mapping[str, Any], masks: frozenset[str], renamed: Mapping[str, str], walk: Walk
) -> list[Any]:
    nodes = entry.item.get("inbound_nodes", [])
    place = Place(entry.place.path, layer["config"]["name"]).at("inbound_nodes")
    class_name = walk.own.get(layer["registered_name"] or "", layer["class_name"])
    cleaned = clean_calls(class_name, nodes, masks, place, walk)
    for history in () if entry.added else _histories(cleaned):
        history[0] = renamed.get(history[0], history[0])
    return cleaned


def _histories(value: Any) -> Iterator[list[Any]]:
    """Every reference in a cleaned call."""
    if isinstance(value, Mapping):
        if is_tensor(value):
            yield value["config"]["keras_history"]
        else:
            for item in value.values():
                yield from _histories(item)
    elif isinstance(value, list):
        for item in value:
            yield from _histories(item)


def _put_input(
    layers: list[dict[str, Any]],
    first: Mapping[str, Any],
    body: Mapping[str, Any],
    place: Place,
    *,
    is_needed: bool,
) -> None:
    """Put an input layer first in a Sequential model: Keras stores its shape elsewhere if it was built without one."""
    if layers[0]["class_name"] == INPUT:
        return
    built = first.get("build_config")
    shape = body.get("build_input_shape") or (
        built.get("input_shape") if isinstance(built, Mapping) else None
    )
    lengths = plain_items(shape)
    if not lengths and not is_needed:
        return
    if not lengths:
        raise place.at("build_input_shape").fault("the model was never built: its input shape is unknown")
    names = {layer["config"]["name"] for layer in layers}
    name = next(text for text in (f"input{i}" for i in range(len(names) + 1)) if text not in names)
    item = {"class_name": INPUT, "config": {"name": name, "batch_shape": lengths, "dtype": "float32"}}
    layers.insert(0, clean_layer(item, place.at("build_input_shape"), Walk(frozenset({INPUT}))))
