"""Writes the format `onnx`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quantization.export.context import ExportContext, Written
from quantization.export.writers.onnx_graph.dialects import QdqGraph
from quantization.export.writers.onnx_graph.model import write_onnx


def write(model: Any, folder: Path, context: ExportContext) -> Written:
    """Write `model.onnx`, of standard nodes and integer types. Raises `ExportRefused`."""
    return write_onnx(model, QdqGraph(), folder / "model.onnx", "onnx", context)
