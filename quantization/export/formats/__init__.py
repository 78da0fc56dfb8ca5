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
from quantization.export.formats.base import ExportFormat, NetworkKind
from quantization.export.formats.c import C
from quantization.export.formats.hls4ml import HLS4ML
from quantization.export.formats.integers import INTEGERS
from quantization.export.formats.keras import KERAS
from quantization.export.formats.keras_plain import KERAS_PLAIN
from quantization.export.formats.onnx import ONNX
from quantization.export.formats.qkeras import QKERAS
from quantization.export.formats.qonnx import QONNX
from quantization.export.formats.tflite import TFLITE
from quantization.export.formats.xylo import XYLO

_FORMATS: Final = (KERAS, KERAS_PLAIN, INTEGERS, C, ONNX, QONNX, HLS4ML, QKERAS, TFLITE, AKIDA)

#: Name -> format of networks of layers.
FORMATS: Final[Mapping[str, ExportFormat]] = MappingProxyType({entry.name: entry for entry in _FORMATS})
#: Name -> format of spiking networks.
SPIKING_FORMATS: Final[Mapping[str, ExportFormat]] = MappingProxyType({XYLO.name: XYLO})


def export_format(name: str, networks: NetworkKind | None = None) -> ExportFormat:
    """The format of this name; `UnknownFormat` lists those there are, for networks of this kind."""
    kinds: dict[str | None, Mapping[str, ExportFormat]] = {"layers": FORMATS, "spiking": SPIKING_FORMATS}
    formats = kinds[networks] if networks else {**FORMATS, **SPIKING_FORMATS}
    if name in formats:
        return formats[name]
    other = next((entry.networks for entry in export_format_list() if entry.name == name), None)
    raise UnknownFormat(name, formats, other)


def export_format_list() -> tuple[ExportFormat, ...]:
    """All formats: those of networks of layers, then those of spiking networks."""
    return (*FORMATS.values(), *SPIKING_FORMATS.values())
