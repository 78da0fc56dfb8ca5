"""The quantizer of a model's input: a layer right behind the input layer, which has the name of the input.

The input layer itself is called NAME_float then. So whatever reads the input reads its quantizer, and the assignment of
a model names the input like any layer. Works on descriptions (`quantization.models.description`), in place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from costmodel.layer_classes import INPUT
from quantization.layers.activation import QuantizedInput
from quantization.layers.base import PACKAGE
from quantization.models.description import layer_name

_SUFFIX: Final = "_float"
_REGISTERED: Final = f"{PACKAGE}>{QuantizedInput.__name__}"


def add_input_quantizer(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Put a layer without a quantizer behind the input layer of this name, and return it; all of a description."""
    layers = body["layers"]
    position = [layer_name(layer) for layer in layers].index(name)
    source = layers[position]
    taken = {layer_name(layer) for layer in layers}
    float_name = name + _SUFFIX
    while float_name in taken:
        float_name += _SUFFIX
    quantizer = _layer(source, name, float_name)
    _rename(source, float_name)
    layers.insert(position + 1, quantizer)
    if "input_layers" in body:
        body["input_layers"] = _renamed(body["input_layers"], name, float_name)
    else:
        del quantizer["inbound_nodes"]  # in a Sequential model the order says it
    return quantizer


def remove_input_quantizers(body: dict[str, Any]) -> None:
    """Undo `add_input_quantizer` for every input."""
    layers = body["layers"]
    for index in reversed(range(1, len(layers))):
        if layers[index].get("registered_name") != _REGISTERED:
            continue
        name, float_name = layer_name(layers[index]), _source(layers, index)
        source = next(layer for layer in layers if layer_name(layer) == float_name)
        del layers[index]
        _rename(source, name)
        if "input_layers" in body:
            body["input_layers"] = _renamed(body["input_layers"], float_name, name)


def _layer(source: Mapping[str, Any], name: str, float_name: str) -> dict[str, Any]:
    """The quantizer's layer. It computes in float32 whatever the model does: codes of 12 bits need it."""
    shape = source["config"].get("batch_shape") or source["config"].get("batch_input_shape")
    tensor = {"shape": shape, "dtype": source["config"].get("dtype"), "keras_history": [float_name, 0, 0]}
    node = {"args": [{"class_name": "__keras_tensor__", "config": tensor}], "kwargs": {}}
    return {
        "module": "keras.layers",
        "class_name": INPUT,
        "registered_name": None,
        "name": name,
        "config": {"name": name, "trainable": True, "dtype": "float32", "activation": "linear"},
        "inbound_nodes": [node],
    }


def _source(layers: list[dict[str, Any]], index: int) -> str:
    """The layer that the quantizer at this place reads."""
    nodes = layers[index].get("inbound_nodes")
    if not nodes:
        return layer_name(layers[index - 1])
    return str(nodes[0]["args"][0]["config"]["keras_history"][0])


def _rename(layer: dict[str, Any], name: str) -> None:
    layer["config"] = {**layer["config"], "name": name}
    if "name" in layer:
        layer["name"] = name


def _renamed(references: Any, old: str, new: str) -> Any:
    """References to layers, as Keras writes them, with another name for one."""
    if isinstance(references, list | tuple):
        return [_renamed(reference, old, new) for reference in references]
    if isinstance(references, Mapping):
        return {key: _renamed(value, old, new) for key, value in references.items()}
    return new if references == old else references
