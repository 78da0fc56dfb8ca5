"""`qonnx`: ONNX with nodes that say how many bits a number has, which FINN, hls4ml and Brevitas' tools read. Plain."""

from __future__ import annotations

from typing import Final

from quantization.export.formats.base import ExportFormat, Option
from quantization.export.legality.onnx import ONNX

QONNX: Final = ExportFormat(
    name="qonnx",
    title="ONNX with QONNX' Quant and BipolarQuant nodes, for FINN and hls4ml",
    legality=ONNX,
    exact=True,
    packages=("onnx",),
    runtime=("qonnx", "onnxruntime"),
    extra="qonnx",
    options={
        "batch": Option(1, "examples at a time, 0: any number (the tools want a number)"),
        "cuts": Option(
            "quant",
            "node that cuts the last bits of a sum, as behind an average pooling: trunc for FINN and Brevitas' tools",
            ("quant", "trunc"),
        ),
        "end": Option("logits", "whether a last softmax or sigmoid is written", ("logits", "outputs")),
    },
)
