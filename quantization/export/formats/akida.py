"""`akida`: a model of cnn2snn's layers, converted for BrainChip's Akida 1. Plain."""

from __future__ import annotations

from typing import Final

from quantization.export.formats.base import ExportFormat
from quantization.export.legality.akida import AKIDA as LEGALITY

AKIDA: Final = ExportFormat(
    name="akida",
    title="model of BrainChip's Akida 1, and the Python file of cnn2snn's layers that makes it",
    legality=LEGALITY,
    runtime=("akida", "cnn2snn"),
    environment=("cnn2snn==2.19.3",),
)
