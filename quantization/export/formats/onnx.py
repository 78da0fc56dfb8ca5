"""`onnx`: standard ONNX, with weights and activations as integers of 4, 8 or 16 bits where they fit. Plain."""

from __future__ import annotations

from typing import Final

from quantization.export.formats.base import ExportFormat, Option
from quantization.export.legality.onnx import ONNX as LEGALITY

ONNX: Final = ExportFormat(
    name="onnx",
    title="ONNX with integer weights and QuantizeLinear nodes, for onnxruntime",
    legality=LEGALITY,
    exact=True,
    packages=("onnx",),
    runtime=("onnxruntime",),
    extra="onnx",
    options={
        "batch": Option(0, "examples at a time, 0: any number"),
        "end": Option("outputs", "whether a last softmax or sigmoid is written", ("logits", "outputs")),
    },
)
