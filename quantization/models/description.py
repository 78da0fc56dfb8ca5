"""Keras' description of a model, checked against an allow-list of layers and of the objects inside them.

Keras imports whatever module a description names; nothing here does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import keras

from costmodel.layer_classes import KERAS_LAYERS, LAYER_CLASSES
from quantization.errors import UnsupportedModel
from quantization.layers import QUANTIZED_LAYERS, RangeInitializer
from quantization.layers.base import PACKAGE

#: Our own layers, by the name Keras registers them under.
OWN_LAYERS: Final = {f"{PACKAGE}>{cls.__name__}": cls for cls in QUANTIZED_LAYERS.values()}
#: Modules whose classes a layer's configuration may hold.
_MODULES: Final = {
    "keras.initializers": keras.initializers.Initializer,
    "keras.regularizers": keras.regularizers.Regularizer,
    "keras.constraints": keras.constraints.Constraint,
    "keras": keras.DTypePolicy,
    "keras.dtype_policies": keras.DTypePolicy,
}
#: Our own objects that it may hold.
_OWN_OBJECTS: Final = {f"{PACKAGE}>{RangeInitializer.__name__}": RangeInitializer.__name__}
#: Wrappers Keras' own format uses.
_WRAPPERS: Final = frozenset({"__tuple__", "__keras_tensor__"})
#: Layers that run an inner layer.
_NESTING: Final = frozenset(
    name
    for plain, row in LAYER_CLASSES.items()
    if row.inner
    for name in (plain, QUANTIZED_LAYERS[plain].__name__)
)
_MAX_DEPTH: Final = 24


def description(model_or_config: Any) -> dict[str, Any]:
    """A copy of `{"class_name", "config"}` of a model, or of the dict Keras wrote of one, with nothing it has built.

    Raises `UnsupportedModel` for what is neither, and for anything inside that is not allowed.
    """
    if isinstance(model_or_config, keras.Model):
        class_name = "Sequential" if isinstance(model_or_config, keras.Sequential) else "Functional"
        document: Any = {"class_name": class_name, "config": model_or_config.get_config()}
    else:
        document = model_or_config
    if not isinstance(document, Mapping):
        raise UnsupportedModel("", "must be a Keras model or the JSON object Keras writes of one")
    if "class_name" not in document:
        class_name = "Functional" if "input_layers" in document else "Sequential"
        document = {"class_name": class_name, "config": document}
    if document["class_name"] not in ("Functional", "Sequential", "Model"):
        raise UnsupportedModel("", f"must be Functional or Sequential, is {document['class_name']!r}")
    body = _copied(document["config"])
    if not isinstance(body, dict) or not isinstance(body.get("layers"), list):
        raise UnsupportedModel("", "has no list of layers")
    for layer in body["layers"]:
        _check_layer(layer)
        layer.pop("build_config", None)
    body.pop("build_input_shape", None)
    return {"class_name": document["class_name"], "config": body}


def described_layers(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every layer of a description, in its order."""
    yield from body["layers"]


def layer_name(layer: Mapping[str, Any]) -> str:
    """The name a described layer has."""
    return str(layer["config"]["name"])


def build(described: Mapping[str, Any]) -> keras.Model:
    """The model of a checked description, with new weights; `UnsupportedModel` if Keras refuses it."""
    cls = keras.Sequential if described["class_name"] == "Sequential" else keras.Model
    try:
        return cls.from_config(described["config"])
    except (TypeError, ValueError, KeyError, IndexError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UnsupportedModel("", f"cannot be built: {reason[0]}") from error


def _copied(value: Any) -> Any:
    """A copy of an object of JSON; `copy.deepcopy` takes several times as long."""
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return type(value)(map(_copied, value)) if type(value) in (list, tuple) else value


def _check_layer(layer: Any, depth: int = 0) -> None:
    if not isinstance(layer, dict) or not isinstance(layer.get("config"), dict):
        raise UnsupportedModel("", "every layer must be an object with a config")
    name, class_name = layer["config"].get("name"), layer.get("class_name")
    if not isinstance(name, str):
        raise UnsupportedModel("", "every layer needs a name")
    if not isinstance(class_name, str) or not _is_allowed(layer):
        allowed = ", ".join(sorted(KERAS_LAYERS))
        raise UnsupportedModel(name, f"{class_name} is not allowed; allowed are: {allowed}")
    for key, value in layer["config"].items():
        if key in ("layer", "backward_layer") and class_name in _NESTING and value is not None:
            if depth > 2:
                raise UnsupportedModel(name, "layers are nested too deeply")
            _check_layer(value, depth + 1)
        elif key != "quantizers":
            _check_object(name, key, value, 0)


def _is_allowed(layer: Mapping[str, Any]) -> bool:
    registered = layer.get("registered_name")
    if registered in OWN_LAYERS:
        return bool(layer["class_name"] == OWN_LAYERS[registered].__name__)
    module = layer.get("module")
    is_keras = layer["class_name"] in KERAS_LAYERS and registered in (None, layer["class_name"])
    return is_keras and (module is None or module == "keras.layers")


def _check_object(layer: str, key: str, value: Any, depth: int) -> None:
    """Refuse every serialized object that is not an initializer, regularizer, constraint or type policy."""
    if depth > _MAX_DEPTH:
        raise UnsupportedModel(layer, f"{key} is nested too deeply")
    if isinstance(value, list | tuple):
        for item in value:
            _check_object(layer, key, item, depth + 1)
    if not isinstance(value, dict):
        return
    if "class_name" in value and not _is_plain(value):
        raise UnsupportedModel(layer, f"{key} holds {value['class_name']!r}, which is not allowed")
    for name, item in value.items():
        _check_object(layer, f"{key}.{name}", item, depth + 1)


def _is_plain(value: Mapping[str, Any]) -> bool:
    class_name = value["class_name"]
    if class_name in _WRAPPERS:
        return True
    if value.get("registered_name") in _OWN_OBJECTS:
        return bool(class_name == _OWN_OBJECTS[value["registered_name"]])
    base = _MODULES.get(value.get("module") or "")
    if (
        base is None
        or not isinstance(class_name, str)
        or value.get("registered_name") not in (None, class_name)
    ):
        return False
    cls = getattr(getattr(keras, value["module"].removeprefix("keras").lstrip("."), keras), class_name, None)
    return isinstance(cls, type) and issubclass(cls, base)
