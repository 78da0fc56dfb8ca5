"""Batch normalizations folded into the layers before them, and back into plain quantized layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import keras
from keras import ops

from costmodel.fold import FOLDED
from quantization.layers import QUANTIZED_LAYERS
from quantization.layers.base import PACKAGE
from quantization.layers.folded import NORMALIZATION_ARGUMENTS, FoldedLayer
from quantization.models.convert import plain_class
from quantization.models.description import build, described_layers, description, layer_name

#: Class with a batch normalization folded in -> the class without.
_UNFOLDED: Final = {into: plain for plain, into in FOLDED.items()}


def foldable_pairs(model: keras.Model) -> dict[str, str]:
    """Layer -> the batch normalization after it that can be folded into it.

    The layer must be linear, read by nothing else, no output of the model, and normalized along its channels.
    """
    return _pairs(description(model))


def fold(
    model: keras.Model, *, folding_mode: str = "ema_stats_folding", ema_freeze_delay: int | None = None
) -> keras.Model:
    """The model with every foldable pair as one layer that quantizes the folded kernel; weights are carried over.

    The layer keeps its name and quantizers, those of the normalization are dropped. Without quantizers the
    outputs at inference are the same up to float rounding. `folding_mode`, `ema_freeze_delay`: see
    `quantization.layers.folded`.
    """
    described = description(model)
    pairs = _pairs(described)
    layers = {layer_name(layer): layer for layer in described_layers(described["config"])}
    how = {"folding_mode": folding_mode, "ema_freeze_delay": ema_freeze_delay}
    for name, normalization in pairs.items():
        arguments = {key: layers[normalization]["config"][key] for key in NORMALIZATION_ARGUMENTS}
        _become(layers[name], FOLDED[_plain(layers[name])])
        layers[name]["config"].update(arguments, **how)
        _remove(described, normalization, name)
    folded = build(described)
    for layer in folded.layers:
        original = model.get_layer(layer.name)
        if layer.name in pairs:
            _carry(layer, original, model.get_layer(pairs[layer.name]))
        else:
            layer.set_weights(original.get_weights())
    return folded


def unfold(model: keras.Model) -> keras.Model:
    """The model with every folded layer as the plain quantized one, whose weights are the folded ones."""
    described = description(model)
    for layer in described_layers(described["config"]):
        plain = _UNFOLDED.get(_plain(layer))
        if plain is not None:
            _become(layer, plain)
            for key in (*NORMALIZATION_ARGUMENTS, "axis", "folding_mode", "ema_freeze_delay"):
                layer["config"].pop(key, None)
            layer["config"]["use_bias"] = True
    unfolded = build(described)
    for layer in unfolded.layers:
        original = model.get_layer(layer.name)
        if isinstance(original, FoldedLayer):
            kernel, bias = original.get_folded_weights()
            layer.kernel.assign(kernel)
            layer.bias.assign(ops.reshape(bias, layer.bias.shape))
        else:
            layer.set_weights(original.get_weights())
    return unfolded


def _pairs(described: Mapping[str, Any]) -> dict[str, str]:
    body = described["config"]
    layers = {layer_name(layer): layer for layer in described_layers(body)}
    ends = _outputs(body)
    readers = {name: [reader for reader, sources in _sources(body) if name in sources] for name in layers}
    pairs = {}
    for name, layer in layers.items():
        only = readers[name][0] if len(readers[name]) == 1 else None
        if only is not None and name not in ends and _is_linear(layer) and _normalizes(layers[only], layer):
            pairs[name] = only
    return pairs


def _sources(body: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Each layer, once a call, with the names of the layers it reads."""
    before: list[str] = []
    for layer in described_layers(body):
        name = layer_name(layer)
        if "inbound_nodes" not in layer:
            yield name, before
            before = [name]
        for node in layer.get("inbound_nodes", []):
            yield name, [history[0] for history in _histories(node)]


def _histories(value: Any) -> Iterator[list[Any]]:
    """Every reference to a tensor inside a described call: [layer, call, output], to be read or changed."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            yield value["config"]["keras_history"]
        else:
            for item in value.values():
                yield from _histories(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _histories(item)


def _outputs(body: Mapping[str, Any]) -> set[str]:
    """Names of the layers whose outputs are the model's."""
    if "output_layers" not in body:
        return {layer_name(body["layers"][-1])}
    return {reference[0] for reference in _references(body["output_layers"])}


def _references(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _references(item)
    elif (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    ):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _references(item)


def _is_linear(layer: Mapping[str, Any]) -> bool:
    config = layer["config"]
    quantized = (config.get("quantizers") or {}).get("activation") is not None
    return _plain(layer) in FOLDED and config.get("activation") in (None, "linear") and not quantized


def _normalizes(layer: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    """Whether a layer is a normalization along the channels of the one before it."""
    if _plain(layer) != "BatchNormalization" or layer["config"].get("renorm"):
        return False
    rank = {"Dense": None, "Conv1D": 2}.get(_plain(before), 3)
    first = before["config"].get("data_format") == "channels_first"
    axis = layer["config"]["axis"]
    return axis == 1 if first else axis in (-1, rank)


def _plain(layer: Mapping[str, Any]) -> str:
    return plain_class(str(layer["class_name"]))


def _become(layer: dict[str, Any], plain: str) -> None:
    cls = QUANTIZED_LAYERS[plain]
    layer.update(module=cls.__module__, class_name=cls.__name__, registered_name=f"{PACKAGE}>{cls.__name__}")


def _remove(described: dict[str, Any], name: str, instead: str) -> None:
    """Take a layer out; what read it reads `instead`."""
    body = described["config"]
    body["layers"] = [layer for layer in body["layers"] if layer_name(layer) != name]
    references = [
        history for layer in body["layers"] for history in _histories(layer.get("inbound_nodes", []))
    ]
    for reference in [*references, *_references(body.get("output_layers", []))]:
        if reference[0] == name:
            reference[0] = instead


def _carry(folded: Any, layer: Any, normalization: Any) -> None:
    folded.weight("kernel").assign(layer.kernel)
    if layer.use_bias:
        folded.weight("bias").assign(layer.bias)
    folded.batchnorm.set_weights(normalization.get_weights()[: len(folded.batchnorm.weights)])
