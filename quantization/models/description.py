"""Keras' description of a model, checked against an allow-list of layers and of the objects inside them.

Keras imports whatever module a description names; nothing here does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import keras

from costmodel.descriptions import clean
from costmodel.errors import InvalidDescription
from quantization.errors import UnsupportedModel
from quantization.layers import QUANTIZED_LAYERS
from quantization.layers.base import PACKAGE

#: Our own layers, by the name Keras registers them under.
OWN_LAYERS: Final = {f"{PACKAGE}>{cls.__name__}": cls for cls in QUANTIZED_LAYERS.values()}
#: The same, with the class in the table of layers that each stands for.
_OWN_CLASSES: Final = {f"{PACKAGE}>{cls.__name__}": name for name, cls in QUANTIZED_LAYERS.items()}


def description(model_or_config: Any) -> dict[str, Any]:
    """A copy of `{"class_name", "config"}` of a model, or of the dict Keras wrote of one, with nothing it has built.

    Raises `UnsupportedModel` for what is neither, and for anything inside that is not allowed.
    """
    if isinstance(model_or_config, keras.Model):
        class_name = "Sequential" if isinstance(model_or_config, keras.Sequential) else "Functional"
        document: Any = {"class_name": class_name, "config": model_or_config.get_config()}
    else:
        document = model_or_config
    try:
        cleaned = clean(document, own=_OWN_CLASSES, exact_types=True, built=False).document
    except InvalidDescription as error:
        reason = f"{error.field}: {error.reason}" if error.field else error.reason
        raise UnsupportedModel(error.layer, reason) from error
    return {"class_name": cleaned["class_name"], "config": cleaned["config"]}


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
