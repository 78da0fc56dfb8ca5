"""Runs the format `tflite` by LiteRT's interpreter."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from quantization.export.context import Floats


def run(folder: Path, inputs: Floats) -> list[Any]:
    """The outputs of the model: inputs as codes, codes as numbers."""
    interpreter = Interpreter(str(folder / "model.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    [source], targets = interpreter.get_input_details(), interpreter.get_output_details()
    rows: list[list[Any]] = [[] for _ in targets]
    scale, zero = source["quantization"]
    codes = np.clip(np.round(inputs / np.float32(scale)) + zero, -128, 127).astype(np.int8)
    for example in codes:
        interpreter.set_tensor(source["index"], example[None])
        interpreter.invoke()
        for row, target in zip(rows, targets, strict=True):
            step, middle = target["quantization"]
            values = interpreter.get_tensor(target["index"]).astype(np.float32) - middle
            row.append(values[0] * np.float32(step))
    return [np.stack(row) for row in rows]


def versions() -> dict[str, str]:
    """Of LiteRT."""
    return {"ai-edge-litert": version("ai-edge-litert")}
