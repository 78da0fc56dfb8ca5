"""Writes the format `qonnx`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quantization.export.context import ExportContext, Written
from quantization.export.writers.onnx_graph.dialects import QonnxGraph
from quantization.export.writers.onnx_graph.model import write_onnx


def write(model: Any, folder: Path, context: ExportContext) -> Written:
    """Write `model.onnx`, of `Quant`, `BipolarQuant` and, with `cuts: trunc`, `Trunc` nodes. Raises `ExportRefused`."""
    return write_onnx(
        model, QonnxGraph(cuts=str(context.options["cuts"])), folder / "model.onnx", "qonnx", context
    )
