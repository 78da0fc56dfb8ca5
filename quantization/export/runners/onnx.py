"""Runs the format `onnx` by onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from quantization.export.context import BATCH, Examples, batches, by_input


def run(folder: Path, inputs: Examples) -> list[Any]:
    """The outputs of the model."""
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    names = [source.name for source in session.get_inputs()]
    length = session.get_inputs()[0].shape[0]
    size = length if isinstance(length, int) else BATCH
    parts = [
        session.run(None, dict(zip(names, by_input(batch), strict=True))) for batch in batches(inputs, size)
    ]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def versions() -> dict[str, str]:
    """Of onnxruntime."""
    return {"onnxruntime": onnxruntime.__version__}
