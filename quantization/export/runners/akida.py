"""Runs the format `akida` by Akida's own software."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import akida
import numpy as np

from quantization.export.context import Floats


def run(folder: Path, inputs: Floats) -> list[Any]:
    """The potentials of the last layer, as numbers of the model's logits; inputs as 8-bit codes."""
    document = json.loads((folder / "input.json").read_text())
    codes = np.clip(np.round(inputs / document["step"]), 0, document["largest"]).astype(np.uint8)
    model = akida.Model(str(folder / "model.fbz"))
    images = codes if codes.ndim == 4 else codes[:, None, None, :]
    outputs = np.asarray(model.predict(images))
    return [outputs.reshape(len(inputs), *document["output_shape"])]


def versions() -> dict[str, str]:
    """Of Akida's software."""
    return {"akida": akida.__version__}
