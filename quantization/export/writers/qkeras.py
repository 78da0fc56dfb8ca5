"""Writes the format `qkeras`: `model.py` and `weights.npz`, which build the model, and `model.keras`, made by them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from quantization.export.context import ExportContext, Written
from quantization.export.errors import ExportRefused, RunFailed
from quantization.export.legality.base import Refusal
from quantization.export.writers.qkeras_source import NotInQKeras, qkeras_source


def write(model: Any, folder: Path, context: ExportContext) -> Written:
    """Write the three files; the last is saved by an interpreter that has qkeras: this one or FEWBITS_QKERAS_PYTHON.

    Raises `ExportRefused`, and `RunFailed` with what qkeras said.
    """
    written = write_source(model, folder)
    python = os.environ.get("FEWBITS_QKERAS_PYTHON", sys.executable)
    environment = {**os.environ, "PYTHONPATH": "", "KERAS_BACKEND": "tensorflow"}
    finished = subprocess.run(
        [python, "model.py"], capture_output=True, text=True, cwd=folder, env=environment
    )
    if finished.returncode:
        raise RunFailed(f"format 'qkeras': qkeras did not build the model: {finished.stderr.strip()[-2000:]}")
    return written


def write_source(model: Any, folder: Path) -> Written:
    """Write `model.py` and `weights.npz`, which needs no qkeras. Raises `ExportRefused`."""
    try:
        source = qkeras_source(model)
    except NotInQKeras as error:
        raise ExportRefused("qkeras", [Refusal(error.layer, error.reason)]) from error
    (folder / "model.py").write_text(source.text)
    arrays: dict[str, Any] = dict(source.arrays)
    np.savez(folder / "weights.npz", **arrays)
    return Written(inexact=source.inexact, notes=source.notes)
