"""Runs the format `onnx` by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from quantization.export.context import BATCH, Floats


def run(folder: Path, inputs: Floats) -> list[Any]:
    """The outputs of the model."""
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    [source] = session.get_inputs()
    size = source.shape[0] if isinstance(source.shape[0], int) else BATCH
    parts = [
        session.run(None, {source.name: inputs[start : start + size]})
        for start in range(0, len(inputs), size)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def versions() -> dict[str, str]:
    """Of onnxruntime."""
    return {"onnxruntime": onnxruntime.__version__}
