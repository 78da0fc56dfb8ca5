"""Writes the format `akida`: a Python file of cnn2snn's layers with its arrays, and the model that it converts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from quantization.export.context import ExportContext, Written
from quantization.export.errors import ExportRefused, RunFailed
from quantization.export.legality.base import Refusal
from quantization.export.writers.akida_source import NotInAkida, akida_source


def write(model: Any, folder: Path, context: ExportContext) -> Written:
    """Write `model.py`, `weights.npz`, `input.json`, and `model.fbz` by an interpreter that has cnn2snn.

    That is this one, or FEWBITS_AKIDA_PYTHON. Raises `ExportRefused`, and `RunFailed` with what cnn2snn said.
    """
    written = write_source(model, folder)
    python = os.environ.get("FEWBITS_AKIDA_PYTHON", sys.executable)
    environment = {**os.environ, "PYTHONPATH": "", "TF_USE_LEGACY_KERAS": "1"}
    finished = subprocess.run(
        [python, "model.py"], capture_output=True, text=True, cwd=folder, env=environment
    )
    if finished.returncode:
        raise RunFailed(f"format 'akida': cnn2snn did not convert it: {finished.stderr.strip()[-2000:]}")
    return written


def write_source(model: Any, folder: Path) -> Written:
    """Write all but the converted model, which needs no cnn2snn. Raises `ExportRefused`."""
    try:
        source = akida_source(model)
    except NotInAkida as error:
        raise ExportRefused("akida", [Refusal(error.layer, error.reason)]) from error
    (folder / "model.py").write_text(source.text)
    arrays: dict[str, Any] = dict(source.arrays)
    np.savez(folder / "weights.npz", **arrays)
    (folder / "input.json").write_text(json.dumps(source.inputs, indent=1) + "\n")
    return Written(stage="logits", inexact=source.inexact, notes=(source.note,))
