"""`keras_plain`: plain Keras layers that hold the quantized numbers; loads with Keras alone. Plain."""

from __future__ import annotations

from typing import Final

from quantization.export.formats.base import ExportFormat
from quantization.export.legality.keras_plain import KERAS_PLAIN as LEGALITY

KERAS_PLAIN: Final = ExportFormat(
    name="keras_plain",
    title="Keras 3 model of plain layers with the quantized weights, activations rounded by Keras' operations",
    legality=LEGALITY,
    exact=True,
    packages=("keras",),
    extra="worker",
)
