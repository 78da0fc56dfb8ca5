"""Runs the format `akida` by Akida's own software."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import akida
import numpy as np

from quantization.export.context import Floats


def run(folder: Path, inputs: Floats) -> list[Any]:
    """What the last layer gives, as numbers of the model: its potentials, or the levels of its activation."""
    document = json.loads((folder / "input.json").read_text())
    codes = np.clip(np.round(inputs / document["step"]), 0, document["largest"]).astype(np.uint8)
    model = akida.Model(str(folder / "model.fbz"))
    images = codes if codes.ndim == 4 else codes[:, None, None, :]
    step = document.get("output_step")
    outputs = np.asarray(model.predict(images) if step is None else model.forward(images) * step)
    return [outputs.reshape(len(inputs), *document["output_shape"])]


def versions() -> dict[str, str]:
    """Of Akida's software."""
    return {"akida": akida.__version__}
