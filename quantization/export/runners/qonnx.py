"""Runs the format `qonnx` by qonnx' own executor."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from quantization.export.context import BATCH, Floats


def run(folder: Path, inputs: Floats) -> list[Any]:
    """The outputs of the model, many examples at a time: its batch is made as large as theirs."""
    parts = [_run(folder, inputs[start : start + BATCH]) for start in range(0, len(inputs), BATCH)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _run(folder: Path, inputs: Floats) -> list[Any]:
    model = ModelWrapper(str(folder / "model.onnx"))
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = len(inputs)
    model = model.transform(InferShapes())
    outputs = execute_onnx(model, {model.graph.input[0].name: inputs})
    return [outputs[tensor.name] for tensor in model.graph.output]


def versions() -> dict[str, str]:
    """Of qonnx."""
    return {"qonnx": version("qonnx")}
