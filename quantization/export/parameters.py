"""Everything that a quantized model computes with: integer weights, and what stayed float."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

import keras
import numpy as np
from keras import ops

from quantization.export.integers import export_integers
from quantization.layers import QUANTIZED_LAYERS, QuantizedLayer
from quantization.layers.folded import FoldedLayer

#: One number that takes the place of two of a batch normalization, where it is quantized.
_INVERSE: Final = "inverse"
_REPLACED: Final = ("gamma", "variance")


def export_parameters(model: keras.Model) -> dict[str, np.ndarray]:
    """`export_integers`, and `<layer>/<slot>/values` (float32) of every weight that is not quantized.

    Names are those of slots: mean and variance of a normalization, `forward_kernel` of a Bidirectional layer; weights
    that are no slot have Keras' name. Kernel and bias of a folded layer are the folded ones. Ready for `numpy.savez`.
    """
    arrays = export_integers(model)
    for layer in model.layers:
        for name, value in _float_parameters(layer).items():
            arrays[f"{layer.name}/{name}/values"] = value
    return arrays


def _float_parameters(layer: Any) -> dict[str, np.ndarray]:
    """Name of a weight that is not quantized -> its value."""
    if isinstance(layer, keras.layers.Bidirectional):
        directions = {"forward": layer.forward_layer, "backward": layer.backward_layer}
        return {
            f"{direction}_{name}": value
            for direction, inner in directions.items()
            for name, value in _float_parameters(inner).items()
        }
    weights = _slot_weights(layer)
    if isinstance(layer, QuantizedLayer):
        quantized = {slot for slot in layer.slots if layer.quantizer(slot) is not None}
        unused = {*quantized, _INVERSE, *(_REPLACED if _INVERSE in quantized else ())}
        values = {
            slot: layer.weight_of(slot)
            for slot in _named_weights(layer)
            if slot not in unused and slot in layer.slots
        }
    else:
        values = {slot: weight for slot, weight in weights.items() if slot != _INVERSE}
    values |= _other_weights(layer, {id(weight) for weight in weights.values()})
    return {name: np.asarray(ops.convert_to_numpy(value), np.float32) for name, value in values.items()}


def _named_weights(layer: Any) -> Mapping[str, str]:
    """Slot -> path of the attribute that holds its weight, of a layer or of its quantized twin."""
    twin = layer if isinstance(layer, QuantizedLayer) else QUANTIZED_LAYERS.get(type(layer).__name__)
    paths = {} if twin is None else twin.SLOTS
    return {slot: path for slot, path in paths.items() if path and not slot.endswith("activation")}


def _slot_weights(layer: Any) -> dict[str, Any]:
    """Slot -> the variable behind it."""
    variables: dict[str, Any] = {}
    for slot, path in _named_weights(layer).items():
        weight = functools.reduce(lambda owner, name: getattr(owner, name, None), path.split("."), layer)
        if isinstance(weight, keras.Variable):
            variables[slot] = weight
    return variables


def _other_weights(layer: Any, named: set[int]) -> dict[str, Any]:
    """Weights that are no slot, by Keras' name; those of a folded normalization are in kernel and bias."""
    owners = [getattr(layer, "quantizer_state", None)]
    if isinstance(layer, FoldedLayer):
        owners += [layer.batchnorm, layer.counter]
    inside = {id(weight) for owner in owners if owner is not None for weight in owner.weights}
    return {
        weight.path.removeprefix(f"{layer.path}/"): weight
        for weight in layer.weights
        if id(weight) not in named | inside and keras.backend.is_float_dtype(weight.dtype)
    }
