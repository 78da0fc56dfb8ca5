"""Writes the format `keras`: the model as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quantization.export.context import ExportContext, Written


def write(model: Any, folder: Path, context: ExportContext) -> Written:
    """Write `model.keras`."""
    model.save(folder / "model.keras")
    return Written()
