"""Writes the format `keras_plain`: the model of plain Keras layers that hold the quantized weights."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
from keras import ops

from quantization.export.context import ExportContext, Written
from quantization.export.errors import ExportRefused, NotExpressible
from quantization.export.legality.base import Refusal
from quantization.export.writers.keras_operations import KerasOperations
from quantization.export.writers.onnx_graph.functions import NotInOnnx, quantized, rounds
from quantization.export.writers.reading import class_of, is_replaced, passed_float, specs_of
from quantization.layers import QuantizedLayer
from quantization.layers.activation import QuantizedInput
from quantization.layers.folded import FoldedLayer
from quantization.layers.outputs import AverageQuantized
from quantization.quantizers import BaseQuantizer

#: Classes that are no more than a function, whose place a quantizer takes.
_FUNCTIONS: Final = frozenset({"ReLU", "LeakyReLU", "ELU"})


class NotPlain(NotExpressible):
    """A layer of the model has no plain form: `layer`, `reason`."""

    written = "as a plain Keras layer"


def write(model: Any, folder: Path, context: ExportContext) -> Written:
    """Write `model.keras`. Raises `ExportRefused`."""
    try:
        plain_model(model).save(folder / "model.keras")
    except (NotPlain, NotInOnnx) as error:
        raise ExportRefused("keras_plain", [Refusal(error.layer, error.reason)]) from error
    reasons = {layer.name: rounds(specs_of(layer).get("activation")) for layer in model.layers}
    return Written(inexact={name: reason for name, reason in reasons.items() if reason is not None})


def plain_model(model: Any) -> keras.Model:
    """The model with plain layers and Keras' operations in place of quantized layers. Raises `NotPlain`."""
    originals: dict[int, Any] = {}

    def cloned(layer: Any) -> Any:
        slot = passed_float(layer)
        if slot is not None:
            raise NotPlain(layer.name, f"the quantizer of {slot} lets part of the float values pass")
        twin = _twin(layer)
        originals[id(twin)] = layer
        return twin

    is_chain = isinstance(model, keras.Sequential)
    functional: Any = keras.Model(model.inputs[0], model.outputs[0], name=model.name) if is_chain else model
    plain = keras.models.clone_model(
        functional,
        clone_function=cloned,
        call_function=lambda twin, *args, **kwargs: _called(originals[id(twin)], twin, *args, **kwargs),
        input_tensors=keras.tree.map_structure(functools.partial(_input, model), functional.input),
    )
    for twin in plain.layers:
        if id(twin) in originals:
            _copy_weights(originals[id(twin)], twin)
    return plain


def _input(model: Any, tensor: Any) -> Any:
    """An input under the name that its quantizer has, where it has one."""
    name = tensor._keras_history.operation.name
    readers = [layer for layer in model.layers if isinstance(layer, QuantizedInput)]
    named = [layer.name for layer in readers if layer.input is tensor]
    return keras.Input(tensor.shape[1:], name=named[0] if named else name, dtype=tensor.dtype)


def _twin(layer: Any) -> Any:
    """The plain layer of a layer, not built."""
    if not _is_quantized(layer):
        return type(layer).from_config(layer.get_config())
    if getattr(layer, "shiftmax", False) or class_of(layer) == "Shiftmax":
        raise NotPlain(
            layer.name, "a softmax by shifts is no layer of Keras; use Softmax, or the format keras"
        )
    if isinstance(layer, QuantizedInput):
        return keras.layers.Activation("linear", name=f"{layer.name}_grid")
    if class_of(layer) == "BatchNormalization" and layer.quantizer("inverse") is not None:
        return keras.layers.Identity(name=layer.name)
    return _plain_class(layer).from_config(_plain_config(layer))


def _plain_class(layer: Any) -> Any:
    return getattr(keras.layers, class_of(layer))


def _plain_config(layer: Any) -> dict[str, Any]:
    """The configuration that the plain class takes."""
    config = dict(layer.get_config())
    if isinstance(layer, FoldedLayer):
        allowed = _plain_class(layer)(**_needed(layer)).get_config()
        config = {name: value for name, value in config.items() if name in allowed} | {"use_bias": True}
    for field in layer.FIELDS:
        config.pop(field, None)
    if isinstance(layer, keras.layers.Bidirectional):
        directions = {"layer": layer.forward_layer, "backward_layer": layer.backward_layer}
        config |= {
            name: keras.saving.serialize_keras_object(_twin(inner)) for name, inner in directions.items()
        }
    if is_replaced(layer) and "activation" in config:
        config["activation"] = "linear"
    return config


def _needed(layer: Any) -> Mapping[str, Any]:
    """The arguments without which a plain class is not made."""
    names = ("units", "filters", "kernel_size")
    return {name: getattr(layer, name) for name in names if name in layer.get_config()}


def _called(layer: Any, twin: Any, *args: Any, **kwargs: Any) -> Any:
    """The plain layer's outputs, and the quantizers of the layer behind them as operations."""
    kwargs = {name: value for name, value in kwargs.items() if name != "training" and value is not None}
    if not _is_quantized(layer):
        return twin(*args, **kwargs)
    if isinstance(layer, QuantizedInput):
        args = (ops.cast(args[0], "float32"), *args[1:]) if args[0].dtype != "float32" else args
    is_passed = is_replaced(layer) and class_of(layer) in _FUNCTIONS
    outputs = args[0] if is_passed else twin(*args, **kwargs)
    if class_of(layer) == "BatchNormalization" and layer.quantizer("inverse") is not None:
        outputs = _normalized(layer, outputs)
    if isinstance(layer, AverageQuantized) and layer.quantizer("average") is not None:
        outputs = outputs * float(ops.convert_to_numpy(layer.by_quantized_factor(np.float32(1), args[0])))
    spec = None if _is_loop(layer) else specs_of(layer).get("activation")
    graph: Any = KerasOperations()
    return outputs if spec is None else quantized(graph, layer.name, outputs, spec)


def _is_quantized(layer: Any) -> bool:
    return isinstance(layer, QuantizedLayer)


def _is_loop(layer: Any) -> bool:
    return isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional)


def _normalized(layer: Any, x: Any) -> Any:
    """A normalization by one quantized factor, as the layer computes it."""
    shape = [1] * len(x.shape)
    shape[layer.axis] = -1

    def laid(value: Any) -> Any:
        return np.asarray(ops.convert_to_numpy(value), np.float32).reshape(shape)

    outputs = (x - laid(_value(layer, "mean"))) * laid(_value(layer, "inverse"))
    return outputs + laid(_value(layer, "beta")) if layer.center else outputs


def _value(layer: Any, slot: str) -> Any:
    """What a layer computes with in a slot at inference."""
    quantizer: BaseQuantizer[Any] | None = layer.quantizer(slot)
    value = layer.weight_of(slot)
    return value if quantizer is None else quantizer(value, False)


def _copy_weights(layer: Any, twin: Any) -> None:
    """Give a plain layer the numbers that its quantized layer computes with."""
    if isinstance(layer, keras.layers.Bidirectional):
        _copy_weights(layer.forward_layer, twin.forward_layer)
        _copy_weights(layer.backward_layer, twin.backward_layer)
        return
    if not twin.weights:
        return
    if not isinstance(layer, FoldedLayer):
        state = getattr(layer, "quantizer_state", None)
        inside = {id(weight) for weight in (state.weights if state is not None else ())}
        weights = [weight for weight in layer.weights if id(weight) not in inside]
        for weight, new in zip(weights, twin.weights, strict=True):
            new.assign(weight)
    if _is_quantized(layer):
        for slot in layer.slots:
            if layer._is_weight(slot) and (
                layer.quantizer(slot) is not None or isinstance(layer, FoldedLayer)
            ):
                path = layer.SLOTS[slot].split(".")
                functools.reduce(getattr, path, twin).assign(_value(layer, slot))
