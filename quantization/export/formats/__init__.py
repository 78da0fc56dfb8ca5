"""The formats that a trained model can leave in. Plain: an API lists and checks them without Keras.

A new format takes a module here, a writer, a runner, an entry in `FORMATS`, and a subclass of the conformance class in
`tests/exports`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from quantization.export.errors import UnknownFormat
from quantization.export.formats.akida import AKIDA
from quantization.export.formats.base import ExportFormat
from quantization.export.formats.c import C
from quantization.export.formats.hls4ml import HLS4ML
from quantization.export.formats.integers import INTEGERS
from quantization.export.formats.keras import KERAS
from quantization.export.formats.keras_plain import KERAS_PLAIN
from quantization.export.formats.onnx import ONNX
from quantization.export.formats.qkeras import QKERAS
from quantization.export.formats.qonnx import QONNX
from quantization.export.formats.tflite import TFLITE

_FORMATS: Final = (KERAS, KERAS_PLAIN, INTEGERS, C, ONNX, QONNX, HLS4ML, QKERAS, TFLITE, AKIDA)

#: Name -> format.
FORMATS: Final[Mapping[str, ExportFormat]] = MappingProxyType({entry.name: entry for entry in _FORMATS})


def export_format(name: str) -> ExportFormat:
    """The format of this name; `UnknownFormat` lists those there are."""
    if name not in FORMATS:
        raise UnknownFormat(name, FORMATS)
    return FORMATS[name]
