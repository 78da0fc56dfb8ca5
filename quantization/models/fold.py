"""Batch normalizations folded into the layers before them, and back into plain quantized layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import keras
from keras import ops

from costmodel.foldable import FOLDED, UNFOLDED, Call, pairs_of
from costmodel.foldable import foldable_pairs as pairs_of_network
from costmodel.network import read_network
from quantization.layers import QUANTIZED_LAYERS
from quantization.layers.base import PACKAGE
from quantization.layers.folded import NORMALIZATION_ARGUMENTS, FoldedLayer
from quantization.models.convert import plain_class
from quantization.models.description import build, described_layers, description, layer_name

#: Arguments that a folded layer has and the plain one does not.
_ARGUMENTS: Final = (*NORMALIZATION_ARGUMENTS, "axis", "folding_mode", "ema_freeze_delay", "frozen")


def foldable_pairs(model: keras.Model) -> dict[str, str]:
    """Layer -> the batch normalization that can be folded into it, as `costmodel.foldable` defines it."""
    return {before: name for name, before in _pairs(model, description(model)["config"]).items()}


def folded_layers(model: keras.Model) -> list[Any]:
    """The layers of a model that have a batch normalization folded in."""
    return [layer for layer in model.layers if isinstance(layer, FoldedLayer)]


def fold(
    model: keras.Model, *, folding_mode: str = "ema_stats_folding", ema_freeze_delay: int | None = None
) -> keras.Model:
    """The model with every foldable pair as one layer that quantizes the folded kernel; weights are carried over.

    The layer keeps its name and quantizers, those of the normalization are dropped. Without quantizers the
    outputs at inference are the same up to float rounding. What was frozen (`trainable=False`), layer or
    normalization, stays frozen. `folding_mode`, `ema_freeze_delay`: see `quantization.layers.folded`.
    """
    described = description(model)
    pairs = _pairs(model, described["config"])
    _fold(described, pairs, {"folding_mode": folding_mode, "ema_freeze_delay": ema_freeze_delay})
    folded = build(described)
    normalizations = {before: name for name, before in pairs.items()}
    for layer in folded.layers:
        original = model.get_layer(layer.name)
        if layer.name in normalizations:
            _carry(layer, original, model.get_layer(normalizations[layer.name]))
        else:
            layer.set_weights(original.get_weights())
    return folded


def folded_description(config: Mapping[str, Any]) -> dict[str, Any]:
    """The description of `fold` of a model, from the model's: the dict of `model.to_json()` or `model.get_config()`.

    Raises `UnsupportedModel`, and `InvalidNetwork` for what `read_network` refuses.
    """
    described = description(config)
    _fold(described, pairs_of_network(read_network(config)), {})
    return described


def _fold(described: dict[str, Any], pairs: Mapping[str, str], how: Mapping[str, Any]) -> None:
    """Fold pairs (normalization -> layer) of a description in place; `how`: further arguments of the folded layers."""
    layers = {layer_name(layer): layer for layer in described_layers(described["config"])}
    for normalization, before in pairs.items():
        layer, config = layers[before], layers[normalization]["config"]
        arguments = {key: config[key] for key in NORMALIZATION_ARGUMENTS if key in config}
        trained = (layer["config"].get("trainable", True), config.get("trainable", True))
        _become(layer, FOLDED[_plain(layer)])
        frozen = {(True, False): "normalization", (False, True): "weights"}.get(trained)
        layer["config"].update(arguments, **how, trainable=any(trained), frozen=frozen)
        _remove(described, normalization)


def unfold(model: keras.Model) -> keras.Model:
    """The model with every folded layer as the plain quantized one, whose weights are the folded ones."""
    described = description(model)
    for layer in described_layers(described["config"]):
        plain = UNFOLDED.get(_plain(layer))
        if plain is not None:
            _become(layer, plain)
            for key in _ARGUMENTS:
                layer["config"].pop(key, None)
            layer["config"]["use_bias"] = True
    unfolded = build(described)
    for layer in unfolded.layers:
        original = model.get_layer(layer.name)
        if isinstance(original, FoldedLayer):
            for slot in (name for name in layer.SLOTS if name != "activation"):
                layer.set_weight(slot, ops.reshape(original.weight_of(slot), layer.weight_of(slot).shape))
            _carry_state(original, layer)
        else:
            layer.set_weights(original.get_weights())
    return unfolded


def _pairs(model: keras.Model, body: Mapping[str, Any]) -> dict[str, str]:
    layers = {layer_name(layer): layer for layer in described_layers(body)}
    ranks = {layer.name: _rank(layer) for layer in model.layers}  # a Sequential model lists no inputs there
    calls = [
        Call(name, _plain(layers[name]), layers[name]["config"], tuple(sources), ranks.get(name, 0))
        for name, sources in _sources(body)
    ]
    return pairs_of(calls, _outputs(body))


def _rank(layer: Any) -> int:
    """Axes of a normalization's input, which it must have been built for; 0 for other layers."""
    is_normalization = isinstance(layer, keras.layers.BatchNormalization)
    return int(layer.input_spec.ndim) if is_normalization and layer.input_spec is not None else 0


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


def _plain(layer: Mapping[str, Any]) -> str:
    return plain_class(str(layer["class_name"]))


def _become(layer: dict[str, Any], plain: str) -> None:
    cls = QUANTIZED_LAYERS[plain]
    layer.update(module=cls.__module__, class_name=cls.__name__, registered_name=f"{PACKAGE}>{cls.__name__}")


def _remove(described: dict[str, Any], name: str) -> None:
    """Take a layer out; what read it reads what it read."""
    body = described["config"]
    removed = next(layer for layer in body["layers"] if layer_name(layer) == name)
    body["layers"] = [layer for layer in body["layers"] if layer is not removed]
    read = [history[0] for node in removed.get("inbound_nodes", []) for history in _histories(node)]
    references = [
        history for layer in body["layers"] for history in _histories(layer.get("inbound_nodes", []))
    ]
    for reference in [*references, *_references(body.get("output_layers", []))]:
        if reference[0] == name:
            reference[0] = read[0]


def _carry(folded: Any, layer: Any, normalization: Any) -> None:
    """Copy the weights of a layer and the normalization behind it into the layer that is both."""
    for slot in (name for name in folded.SLOTS if name != "activation"):
        path = folded.SLOTS[slot]
        if slot != "bias" or layer.use_bias:
            folded.weight(slot).assign(getattr(layer, path))
    folded.batchnorm.set_weights(normalization.get_weights()[: len(folded.batchnorm.weights)])
    _carry_state(layer, folded)


def _carry_state(source: Any, target: Any) -> None:
    """Copy the variables of quantizers: trained thresholds, noise factors."""
    if hasattr(source, "quantizer_state") and hasattr(target, "quantizer_state"):
        target.quantizer_state.set_weights(source.quantizer_state.get_weights())
