"""Builds a quantized model from a float model and an assignment of quantizers, and reads the assignment back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import keras

from costmodel.foldable import UNFOLDED
from costmodel.layer_classes import INPUT, width_field
from quantization.errors import QuantizationError, UnknownLayer, UnknownSlot
from quantization.layers import QUANTIZED_LAYERS
from quantization.layers.base import PACKAGE, QuantizedLayer
from quantization.layers.folded import FoldedLayer
from quantization.models.description import OWN_LAYERS, build, described_layers, description, layer_name
from quantization.models.inputs import add_input_quantizer, remove_input_quantizers
from quantization.specs.parse import QuantizerSpec, as_spec

#: Layer -> slot -> quantizer, None: not quantized. A layer with an empty mapping becomes its quantized class.
Assignment = Mapping[str, Mapping[str, QuantizerSpec | None]]

#: Name of a quantized class -> class of the Keras layer it stands for.
PLAIN_LAYERS: Final = {cls.__name__: name for name, cls in QUANTIZED_LAYERS.items()}


def float_model(config: Mapping[str, Any]) -> keras.Model:
    """The float model of a description, with new weights.

    `config`: the dict of `model.to_json()` or `model.get_config()`, functional or Sequential. Only the layers
    the cost model knows may stand in it; `UnsupportedModel` names what is not allowed.
    """
    return build(description(config))


def quantize(
    model_or_config: keras.Model | Mapping[str, Any],
    assignment: Assignment,
    widths: Mapping[str, int] | None = None,
) -> keras.Model:
    """A model of the same architecture with new weights, the named layers quantized as assigned.

    `widths`: layer -> filters or units in place of the description's. Names are kept, but for an input layer that gets
    a quantizer (see `quantization.models.inputs`). Layers that are quantized already and not named stay as they are.
    Raises `UnknownLayer`, `UnknownSlot`, `UnsupportedModel`.
    """
    described = description(model_or_config)
    layers = {layer_name(layer): layer for layer in described_layers(described["config"])}
    for name in [*assignment, *(widths or {})]:
        if name not in layers:
            raise UnknownLayer(name, layers)
    for name, width in (widths or {}).items():
        _widen(layers[name], width)
    for name, slots in assignment.items():
        if layers[name]["class_name"] == INPUT:
            layers[name] = add_input_quantizer(described["config"], name)
        _replace(layers[name], slots)
    return build(described)


def read_quantizers(model: keras.Model) -> dict[str, dict[str, QuantizerSpec | None]]:
    """Layer -> slot -> quantizer of every quantized layer: the assignment a model was built from.

    A layer that has a batch normalization folded in and no quantizer is a float layer.
    """
    layers = quantized_layers(model)
    return {layer.name: layer.specs for layer in layers if layer.specs or not isinstance(layer, FoldedLayer)}


def quantized_layers(model: keras.Model) -> list[Any]:
    """The quantized layers of a model, in its order; each is a Keras layer and a `QuantizedLayer`."""
    return [layer for layer in model.layers if isinstance(layer, QuantizedLayer)]


@contextlib.contextmanager
def caching_weights(model: keras.Model) -> Iterator[None]:
    """Within it, layers quantize a weight once for all calls at inference and all integers; no weight may change."""
    with contextlib.ExitStack() as stack:
        for layer in quantized_layers(model):
            stack.enter_context(layer.caching_weights())
        yield


def transfer_weights(source: keras.Model, target: keras.Model) -> list[str]:
    """Copy the weights of layers that both models have by name.

    Returns the names of layers whose shapes differ: they keep their weights. Other state of quantized layers
    (thresholds, noise factors) keeps its value.
    """
    sources = {layer.name: layer for layer in source.layers}
    left: list[str] = []
    for layer in target.layers:
        weights = sources[layer.name].weights if layer.name in sources else []
        pairs = list(zip(weights, layer.weights, strict=False))
        if len(weights) > len(layer.weights) or any(old.shape != new.shape for old, new in pairs):
            left.append(layer.name)
            continue
        for old, new in pairs:
            new.assign(old)
    return left


def plain_description(model_or_config: keras.Model | Mapping[str, Any]) -> dict[str, Any]:
    """The description of a model as if its quantized layers were the Keras layers they stand for."""
    described = description(model_or_config)
    remove_input_quantizers(described["config"])
    for layer in described_layers(described["config"]):
        if layer.get("registered_name") in OWN_LAYERS:
            _make_plain(layer)
    return described


def without_quantizers(model: keras.Model) -> dict[str, Any]:
    """The description of a model whose layers quantize nothing; folded normalizations stay folded."""
    described = description(model)
    remove_input_quantizers(described["config"])
    for layer in described_layers(described["config"]):
        name = plain_class(layer["class_name"])
        if name in UNFOLDED:
            layer["config"].pop("quantizers", None)
        elif layer.get("registered_name") in OWN_LAYERS:
            _make_plain(layer)
    return described


def _make_plain(layer: dict[str, Any]) -> None:
    name = PLAIN_LAYERS[layer["class_name"]]
    layer.update(module="keras.layers", class_name=name, registered_name=None)
    for field in QUANTIZED_LAYERS[name].FIELDS:
        layer["config"].pop(field, None)


def plain_class(class_name: str) -> str:
    """The class of the Keras layer that a class, quantized or not, stands for."""
    return PLAIN_LAYERS.get(class_name, class_name)


def width_of(layer: keras.Layer) -> int | None:
    """The width (units, filters) of a layer, quantized or not; None where its class has none."""
    field = width_field(plain_class(type(layer).__name__))
    return None if field is None else int(getattr(layer, field))


def _widen(layer: dict[str, Any], width: int) -> None:
    field = width_field(plain_class(layer["class_name"]))
    if field is None:
        raise QuantizationError(f"layer {layer_name(layer)!r} ({layer['class_name']}) has no width to change")
    if not isinstance(width, int) or width < 1:
        raise QuantizationError(
            f"layer {layer_name(layer)!r}: {field} must be an integer from 1, not {width!r}"
        )
    layer["config"][field] = width


def _replace(layer: dict[str, Any], slots: Mapping[str, Any]) -> None:
    """Turn a described layer into its quantized class."""
    name = layer_name(layer)
    plain = plain_class(layer["class_name"])
    cls = QUANTIZED_LAYERS.get(plain)
    if cls is None:
        raise UnknownSlot(name, plain, next(iter(slots), "any"), ())
    _check_slots(name, plain, cls, layer["config"], slots)
    written = {
        slot: None if spec is None else as_spec(spec).model_dump(mode="json") for slot, spec in slots.items()
    }
    layer.update(module=cls.__module__, class_name=cls.__name__, registered_name=f"{PACKAGE}>{cls.__name__}")
    layer["config"]["quantizers"] = written


def _check_slots(
    name: str, plain: str, cls: type[Any], config: Mapping[str, Any], slots: Mapping[str, Any]
) -> None:
    allowed = [slot for slot in cls.SLOTS if cls.configured(slot, config)]
    for slot, spec in slots.items():
        if slot not in cls.SLOTS or (spec is not None and slot not in allowed):
            raise UnknownSlot(name, plain, slot, allowed)
