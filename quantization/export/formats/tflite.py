"""`tflite`: a LiteRT model whose operators compute with 8-bit integers. Plain."""

from __future__ import annotations

from typing import Final

from quantization.export.formats.base import ExportFormat, Option
from quantization.export.legality.tflite import TFLITE as LEGALITY

TFLITE: Final = ExportFormat(
    name="tflite",
    title="LiteRT (TensorFlow Lite) model of 8-bit integers, weights of 4 or 8 bits",
    legality=LEGALITY,
    packages=("tensorflow", "flatbuffers"),
    runtime=("ai_edge_litert",),
    extra="tflite",
    options={"int4": Option(True, "weights whose codes lie within -7 to 7 are packed to 4 bits")},
)
