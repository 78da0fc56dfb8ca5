"""Runs the format `keras_plain`: Keras alone loads the model."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np

from quantization.export.context import Examples, batches


def run(folder: Path, inputs: Examples) -> list[Any]:
    """The outputs of the loaded model."""
    model = keras.models.load_model(folder / "model.keras")
    parts = [
        [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(model(batch, training=False))]
        for batch in batches(inputs)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def versions() -> dict[str, str]:
    """Of Keras and of its backend."""
    return {"keras": keras.__version__, keras.backend.backend(): version(keras.backend.backend())}
