"""`qkeras`: a model of qkeras-v3, and a Python file that builds it. Plain."""

from __future__ import annotations

from typing import Final

from quantization.export.formats.base import ExportFormat
from quantization.export.legality.qkeras import QKERAS as LEGALITY

QKERAS: Final = ExportFormat(
    name="qkeras",
    title="Keras 3 model of QKeras' layers (qkeras-v3), and the Python file that builds it",
    legality=LEGALITY,
    exact=True,
    packages=("keras",),
    runtime=("qkeras",),
    environment=("qkeras-v3==1.2.*", "tensorflow"),
)
