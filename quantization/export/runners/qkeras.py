"""Runs the format `qkeras`: Keras loads the model with QKeras' layers."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import qkeras

from quantization.export.context import Examples, batches


def run(folder: Path, inputs: Examples) -> list[Any]:
    """The outputs of the loaded model."""
    model = keras.models.load_model(folder / "model.keras", custom_objects=vars(qkeras))
    parts = [
        [keras.ops.convert_to_numpy(output) for output in keras.tree.flatten(model(batch, training=False))]
        for batch in batches(inputs)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def versions() -> dict[str, str]:
    """Of qkeras and Keras."""
    return {"qkeras": qkeras.__version__, "keras": keras.__version__, "tensorflow": version("tensorflow")}
