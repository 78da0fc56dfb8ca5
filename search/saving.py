"""The files a user gets of a trial, but for its report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

from quantization.convert import plain_description, read_quantizers
from quantization.export import export_integers
from search.data import Dataset

MODEL_FILE: Final = "model.keras"
QUANTIZERS_FILE: Final = "quantizers.json"
WEIGHTS_FILE: Final = "weights.npz"
PREPROCESSING_FILE: Final = "preprocessing.json"


def save(model: keras.Model, data: Dataset, folder: Path) -> None:
    """The files a user gets of a trial, but for its report."""
    model.save(folder / MODEL_FILE)
    _write_json(folder / QUANTIZERS_FILE, quantizer_document(model))
    arrays: dict[str, Any] = export_integers(model)
    np.savez_compressed(folder / WEIGHTS_FILE, **arrays)
    scaling = {"subtract": list(data.scaling.subtract), "divide_by": data.scaling.divide_by}
    _write_json(
        folder / PREPROCESSING_FILE,
        {"input_shape": list(data.x_train.shape[1:]), **scaling, **_target_scaling(model, data)},
    )


def _target_scaling(model: keras.Model, data: Dataset) -> dict[str, Any]:
    """By output, what was done to its targets: what the model gives is in these units. Nothing if nothing was done."""
    if not any(data.target_scaling):
        return {}
    found = zip(model.output_names, data.target_scaling, strict=True)
    return {"targets": {name: scaling and asdict(scaling) for name, scaling in found}}


def quantizer_document(model: keras.Model) -> dict[str, Any]:
    """Every layer with its class, its width and the quantizers of its slots, as text and field by field.

    `architecture` is the float network at these widths, so that the file alone can be priced.
    """
    quantizers = read_quantizers(model)
    return {
        "architecture": plain_description(model),
        "layers": [
            {
                "name": layer.name,
                "class_name": type(layer).__name__,
                "width": getattr(layer, "filters", None) or getattr(layer, "units", None),
                "quantizers": {
                    slot: None
                    if spec is None
                    else {"text": str(spec), "structured": spec.model_dump(mode="json")}
                    for slot, spec in quantizers.get(layer.name, {}).items()
                },
            }
            for layer in model.layers
        ],
    }


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, allow_nan=False) + "\n")
