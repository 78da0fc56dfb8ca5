"""Writes the files of a trial but its report and recipe: model, quantizers, weights, preprocessing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from costmodel.data_type import NumberFormat
from costmodel.network import read_network
from quantization.export.parameters import export_parameters
from quantization.models.convert import plain_description, read_quantizers, width_of
from quantization.specs.parse import QuantizerSpec
from search.data import Dataset
from search.data.inputs import by_input
from search.trial_files import MODEL_FILE, PREPROCESSING_FILE, QUANTIZERS_FILE, WEIGHTS_FILE

#: Keras' names for the kinds of objects that a model is saved with.
_SAVED_KINDS: Final = ("Layer", "Functional", "Metric", "Optimizer", "Loss")


def save(model: keras.Model, data: Dataset, folder: Path, cost: Mapping[str, Any] | None = None) -> None:
    """Write the trained model, its quantizers, its weights and the preprocessing of its inputs.

    `cost`: how the trial was priced (`options_document`); None for a float model.
    """
    _cache_saving_skiplists()
    model.save(folder / MODEL_FILE)
    _write_json(folder / QUANTIZERS_FILE, quantizer_document(model, cost))
    arrays: dict[str, Any] = export_parameters(model)
    np.savez_compressed(folder / WEIGHTS_FILE, **arrays)
    _write_json(folder / PREPROCESSING_FILE, {**_input_scaling(model, data), **_target_scaling(model, data)})


def _cache_saving_skiplists() -> None:
    """Store, by kind of object, which attributes Keras skips in saving.

    Keras (3.15) caches it under one name and looks it up under another, so every save creates a new optimizer, whose
    variables TensorFlow never frees. Does nothing where a later Keras has no such names.
    """
    with contextlib.suppress(ImportError, AttributeError):
        from keras.src.backend.common import global_state
        from keras.src.saving import saving_lib

        for kind in _SAVED_KINDS:
            name = f"saving_attr_skiplist_{kind}"
            if global_state.get_global_attribute(name) is None:
                global_state.set_global_attribute(name, saving_lib.get_attr_skipset(kind))


def _input_scaling(model: keras.Model, data: Dataset) -> dict[str, Any]:
    """Shape of an example and how its numbers were scaled; of several inputs by name, in the order the model takes."""
    scaled = [
        {"input_shape": list(x.shape[1:]), **asdict(scaling)}
        for x, scaling in zip(by_input(data.x_train), by_input(data.scaling), strict=True)
    ]
    if len(scaled) == 1:
        return scaled[0]
    names = read_network(plain_description(model)).inputs
    return {"inputs": dict(zip(names, scaled, strict=True))}


def _target_scaling(model: keras.Model, data: Dataset) -> dict[str, Any]:
    """By output, how its targets were scaled: the model's outputs are in these units. Empty without any scaling."""
    if not any(data.target_scaling):
        return {}
    outputs = zip(model.output_names, data.target_scaling, strict=True)
    return {"targets": {name: scaling and asdict(scaling) for name, scaling in outputs}}


def quantizer_document(model: keras.Model, cost: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Every layer with its class, its width and the quantizers of its slots, as text and by field.

    `architecture` is the float network at these widths and `cost` how the job prices it, so that the cost can be
    computed from the file alone.
    """
    quantizers = read_quantizers(model)
    return {
        "architecture": plain_description(model),
        **({} if cost is None else {"cost": dict(cost)}),
        "layers": [
            {
                "name": layer.name,
                "class_name": type(layer).__name__,
                "width": width_of(layer),
                "quantizers": {
                    slot: None if spec is None else _quantizer(layer, slot, spec)
                    for slot, spec in quantizers.get(layer.name, {}).items()
                },
            }
            for layer in model.layers
        ],
    }


def _quantizer(layer: Any, slot: str, spec: QuantizerSpec) -> dict[str, Any]:
    """A quantizer as text and by field; of power-of-two weights also how many different values they have."""
    entry: dict[str, Any] = {"text": str(spec), "structured": spec.model_dump(mode="json")}
    if spec.data_type().format is NumberFormat.POWER_OF_TWO and layer.built:
        weights = layer.quantized_weights()
        if slot in weights:
            codes, scale = weights[slot]
            entry["distinct"] = int(np.unique(np.asarray(codes) * np.asarray(scale)).size)
    return entry


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n")
