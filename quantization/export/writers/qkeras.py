"""Writes the format `qkeras`: `model.py` and `weights.npz`, which build the model, and `model.keras`, made by them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quantization.export.context import ExportContext, Written
from quantization.export.errors import ExportRefused
from quantization.export.legality.base import Refusal
from quantization.export.writers.qkeras_source import NotInQKeras, qkeras_source
from quantization.export.writers.scripted import run_source, write_source_files


def write(model: Any, folder: Path, context: ExportContext) -> Written:
    """Write the three files; the last is saved by an interpreter that has qkeras: this one or FEWBITS_QKERAS_PYTHON.

    Raises `ExportRefused`, and `RunFailed` with what qkeras said.
    """
    written = write_source(model, folder)
    run_source(folder, "qkeras", "qkeras did not build the model", KERAS_BACKEND="tensorflow")
    return written


def write_source(model: Any, folder: Path) -> Written:
    """Write `model.py` and `weights.npz`, which needs no qkeras. Raises `ExportRefused`."""
    try:
        source = qkeras_source(model)
    except NotInQKeras as error:
        raise ExportRefused("qkeras", [Refusal(error.layer, error.reason)]) from error
    write_source_files(folder, source.text, source.arrays)
    return Written(inexact=source.inexact, notes=source.notes)
