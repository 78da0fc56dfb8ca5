"""`keras`: the model as Keras saves it, with the quantized layers. Every layer, every quantizer. Plain."""

from __future__ import annotations

from typing import Final

from quantization.export.formats.base import ExportFormat

KERAS: Final = ExportFormat(
    name="keras",
    title="Keras 3 model with quantized layers",
    exact=True,
    packages=("keras",),
    extra="worker",
)
