"""Runs the format `qonnx` by qonnx' own executor."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from quantization.export.context import Examples, batches, by_input


def run(folder: Path, inputs: Examples) -> list[Any]:
    """The outputs of the model, many examples at a time: its batch is made as large as theirs."""
    parts = [_run(folder, batch) for batch in batches(inputs)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _run(folder: Path, inputs: Examples) -> list[Any]:
    model = ModelWrapper(str(folder / "model.onnx"))
    arrays = by_input(inputs)
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_value = len(arrays[0])
    model = model.transform(InferShapes())
    names = [tensor.name for tensor in model.graph.input]
    outputs = execute_onnx(model, dict(zip(names, arrays, strict=True)))
    return [outputs[tensor.name] for tensor in model.graph.output]


def versions() -> dict[str, str]:
    """Of qonnx."""
    return {"qonnx": version("qonnx")}
