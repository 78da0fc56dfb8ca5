"""Writes the format `akida`: a Python file of cnn2snn's layers with its arrays, and the model that it converts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from quantization.export.context import ExportContext, Written
from quantization.export.errors import ExportRefused
from quantization.export.legality.base import Refusal
from quantization.export.writers.akida_source import NotInAkida, akida_source
from quantization.export.writers.scripted import run_source, write_source_files


def write(model: Any, folder: Path, context: ExportContext) -> Written:
    """Write `model.py`, `weights.npz`, `input.json`, and `model.fbz` by an interpreter that has cnn2snn.

    That is this one, or FEWBITS_AKIDA_PYTHON. Raises `ExportRefused`, and `RunFailed` with what cnn2snn said.
    """
    written = write_source(model, folder)
    run_source(folder, "akida", "cnn2snn did not convert it", TF_USE_LEGACY_KERAS="1")
    return written


def write_source(model: Any, folder: Path) -> Written:
    """Write all but the converted model, which needs no cnn2snn. Raises `ExportRefused`."""
    try:
        source = akida_source(model)
    except NotInAkida as error:
        raise ExportRefused("akida", [Refusal(error.layer, error.reason)]) from error
    write_source_files(folder, source.text, source.arrays)
    (folder / "input.json").write_text(json.dumps(source.inputs, indent=1) + "\n")
    return Written(stage="logits", inexact=source.inexact, notes=(source.note,))
