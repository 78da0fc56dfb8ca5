"""Keras' description of a model, rebuilt from what is allowed in it.

Everything that Keras would look up by name - layers, initializers, types - must be in the table of layers or the lists
below, in the module that Keras itself writes. What is not needed to build the network (compile settings, build
settings, ids of shared objects) is left out, so that it never reaches Keras.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from costmodel.layer_classes import INPUT, KERAS_LAYERS, LAYER_CLASSES
from costmodel.network import MAX_LAYERS
from search.uploads.faults import UploadFault, shown

#: Objects that a layer may hold, and the modules that Keras writes for them.
_INITIALIZERS: Final = (
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "IdentityInitializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "OrthogonalInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
)
OBJECTS: Final[Mapping[str, frozenset[str]]] = {
    **dict.fromkeys(_INITIALIZERS, frozenset({"keras.initializers"})),
    **dict.fromkeys(("L1", "L1L2", "L2", "OrthogonalRegularizer"), frozenset({"keras.regularizers"})),
    **dict.fromkeys(("MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"), frozenset({"keras.constraints"})),
    "DTypePolicy": frozenset({"keras", "keras.dtype_policies"}),
}

#: Classes of models and the modules Keras has written them under.
_MODELS: Final[Mapping[str, frozenset[str | None]]] = {
    "Functional": frozenset({None, "keras", "keras.models", "keras.src.models.functional"}),
    "Model": frozenset({None, "keras", "keras.models", "keras.src.models.model"}),
    "Sequential": frozenset({None, "keras", "keras.models", "keras.src.models.sequential"}),
}

#: Why some common classes are refused.
_REASONS: Final[Mapping[str, str]] = {
    "Lambda": "holds Python code, which is never run here: use layers that state what they compute",
    "TFSMLayer": "loads a SavedModel, and with it code",
    "TorchModuleWrapper": "holds a pickle, and with it code",
    "FlaxLayer": "holds a pickle, and with it code",
    "JaxLayer": "holds a pickle, and with it code",
    **dict.fromkeys(
        ("StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization"),
        "reads files that the model names",
    ),
    **dict.fromkeys(
        ("Functional", "Sequential", "Model"),
        "is a model inside a model: put its layers into the outer one",
    ),
}

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_FIELD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_TEXT: Final = re.compile(r"[A-Za-z0-9_. -]{0,128}")
_NESTED: Final = ("layer", "backward_layer")
_MAX_DEPTH: Final = 16
_SPECIAL: Final = ("class_name", "module", "registered_name")


def clean_model(document: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The description of the network, reduced to what is needed to build it.

    `document`: what `model.to_json()` writes, or the config.json of a `.keras` file. Raises UploadFault, with the path
    of the first thing that is not allowed.
    """
    class_name, body = document.get("class_name"), document.get("config")
    if not isinstance(class_name, str) or class_name not in _MODELS:
        raise UploadFault(
            f"{where}/class_name",
            f"must be Functional or Sequential, not {shown(class_name)}: custom classes are not built",
        )
    _check_origin(document, _MODELS[class_name], where)
    if not isinstance(body, dict) or not isinstance(body.get("layers"), list):
        raise UploadFault(f"{where}/config", "must be an object with a list of layers")
    layers = body["layers"]
    if not 1 <= len(layers) <= MAX_LAYERS:
        raise UploadFault(
            f"{where}/config/layers", f"lists {len(layers)} layers; 1 to {MAX_LAYERS} are allowed"
        )
    cleaned = [_layer(item, f"{where}/config/layers/{index}") for index, item in enumerate(layers)]
    config = {"name": _model_name(body), "trainable": True, "layers": cleaned}
    if "input_layers" in body or "output_layers" in body:
        for key in ("input_layers", "output_layers"):
            config[key] = _value(body.get(key), f"{where}/config/{key}", 0)
        return {"module": "keras", "class_name": "Functional", "config": config, "registered_name": None}
    _put_input(cleaned, layers[0], body, where)
    return {"module": "keras", "class_name": "Sequential", "config": config, "registered_name": None}


def _model_name(body: Mapping[str, Any]) -> str:
    name = body.get("name")
    return name if isinstance(name, str) and _NAME.fullmatch(name) else "model"


def _put_input(
    cleaned: list[dict[str, Any]], first: Mapping[str, Any], body: Mapping[str, Any], where: str
) -> None:
    """Put an input layer first in a Sequential model: Keras stores its shape elsewhere if it was built without one."""
    if cleaned[0]["class_name"] == INPUT:
        return
    built = first.get("build_config")
    shape = body.get("build_input_shape") or (built.get("input_shape") if isinstance(built, dict) else None)
    if not isinstance(shape, list):
        raise UploadFault(f"{where}/config", "was never built: its input shape is unknown")
    names = {layer["config"]["name"] for layer in cleaned}
    name = next(n for n in (f"input{i}" for i in range(len(names) + 1)) if n not in names)
    config = {
        "batch_shape": _value(shape, f"{where}/config/build_input_shape", 0),
        "dtype": "float32",
        "name": name,
    }
    cleaned.insert(
        0, {"module": "keras.layers", "class_name": INPUT, "config": config, "registered_name": None}
    )


def _layer(item: Any, where: str, inside: frozenset[str] = KERAS_LAYERS) -> dict[str, Any]:
    """A layer of one of the classes `inside`, rebuilt."""
    if not isinstance(item, dict) or not isinstance(item.get("config"), dict):
        raise UploadFault(where, "must be an object with a config")
    class_name = item.get("class_name")
    if not isinstance(class_name, str) or class_name not in inside:
        raise UploadFault(f"{where}/class_name", _refusal(class_name, inside))
    _check_origin(item, frozenset({None, "keras.layers"}), where)
    name = item["config"].get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UploadFault(
            f"{where}/config/name", f"is {shown(name)}; a name has 1 to 128 letters, digits, '_', '-' and '.'"
        )
    if item.get("name", name) != name:
        raise UploadFault(f"{where}/name", f"is not the name in the layer's config, {name!r}")
    inner = frozenset(LAYER_CLASSES[class_name].inner)
    config = {}
    for key, value in item["config"].items():
        path = f"{where}/config/{_field(key, where)}"
        if inner and key in _NESTED and value is not None:
            config[key] = _layer(value, path, inner)
        else:
            config[key] = _value(value, path, 0)
    cleaned = {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}
    if "inbound_nodes" in item:
        nodes = _value(item["inbound_nodes"], f"{where}/inbound_nodes", 0, allow_tensors=True)
        cleaned |= {"name": name, "inbound_nodes": nodes}
    return cleaned


def _refusal(class_name: Any, inside: frozenset[str]) -> str:
    reason = _REASONS.get(class_name) if isinstance(class_name, str) else None
    if isinstance(class_name, str) and class_name.startswith("Quantized"):
        reason = "is quantized already: a search starts from the float model"
    why = reason or "is not a supported layer"
    return f"{shown(class_name)} {why}; allowed: {', '.join(sorted(inside))}"


def _check_origin(item: Mapping[str, Any], modules: frozenset[str | None], where: str) -> None:
    """Keras imports `module` and looks `registered_name` up: only what Keras itself writes is allowed."""
    module, registered = item.get("module"), item.get("registered_name")
    if module is not None and (not isinstance(module, str) or module not in modules):
        allowed = ", ".join(sorted(name for name in modules if name))
        raise UploadFault(f"{where}/module", f"is {shown(module)}; allowed: {allowed}")
    if registered is not None and registered != item.get("class_name"):
        raise UploadFault(f"{where}/registered_name", f"is {shown(registered)}: custom objects are not built")


def _value(value: Any, where: str, depth: int, *, allow_tensors: bool = False) -> Any:
    """A plain value of a configuration, rebuilt. UploadFault if it is not allowed."""
    if depth > _MAX_DEPTH:
        raise UploadFault(where, f"is nested more than {_MAX_DEPTH} levels deep")
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            if not _TEXT.fullmatch(value):
                raise UploadFault(where, f"is the text {shown(value)}, which no layer takes")
            return value
        case list():
            return [
                _value(item, f"{where}/{index}", depth + 1, allow_tensors=allow_tensors)
                for index, item in enumerate(value)
            ]
        case dict() if any(key in value for key in _SPECIAL):
            return _object(value, where, depth, allow_tensors=allow_tensors)
        case dict():
            return {
                _field(key, where): _value(item, f"{where}/{key}", depth + 1, allow_tensors=allow_tensors)
                for key, item in value.items()
            }
        case _:
            raise UploadFault(where, "is not a plain value")


def _object(value: Mapping[str, Any], where: str, depth: int, *, allow_tensors: bool) -> dict[str, Any]:
    """A serialized object: an initializer, regularizer, constraint or type; in nodes also a tensor."""
    class_name = value.get("class_name")
    if class_name == "__tuple__" and set(value) == {"class_name", "items"}:
        items = _value(value["items"], f"{where}/items", depth + 1, allow_tensors=allow_tensors)
        return {"class_name": "__tuple__", "items": items}
    if class_name == "__keras_tensor__" and allow_tensors and set(value) == {"class_name", "config"}:
        return {
            "class_name": "__keras_tensor__",
            "config": _value(value["config"], f"{where}/config", depth + 1),
        }
    if not isinstance(class_name, str) or class_name not in OBJECTS:
        raise UploadFault(
            f"{where}/class_name", f"{shown(class_name)} is not allowed here; allowed: {', '.join(OBJECTS)}"
        )
    if not isinstance(value.get("module"), str) or value["module"] not in OBJECTS[class_name]:
        allowed = ", ".join(sorted(OBJECTS[class_name]))
        raise UploadFault(f"{where}/module", f"is {shown(value.get('module'))}; allowed: {allowed}")
    _check_origin(value, OBJECTS[class_name] | {None}, where)
    config = value.get("config")
    if not isinstance(config, dict):
        raise UploadFault(f"{where}/config", "must be an object")
    return {
        "module": value["module"],
        "class_name": class_name,
        "config": _value(config, f"{where}/config", depth + 1),
        "registered_name": None,
    }


def _field(key: str, where: str) -> str:
    if not _FIELD.fullmatch(key):
        raise UploadFault(where, f"has a field called {shown(key)}")
    return key
