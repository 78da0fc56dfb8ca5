"""Writes the format `hls4ml`: the layers with all their types, a script that makes a project of them, the project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from quantization.export.context import ExportContext, Written, by_input
from quantization.export.errors import ExportRefused, RunFailed
from quantization.export.legality.base import Refusal
from quantization.export.writers.hls4ml_project.functions import NotInHls4ml
from quantization.export.writers.hls4ml_project.model import hls4ml_project

_SCRIPT: Final = Path(__file__).parent / "hls4ml_project" / "make_project.py"


def write(model: Any, folder: Path, context: ExportContext) -> Written:
    """Write `network.json`, `network.npz`, `make_project.py` and the folder `project` that it makes.

    The script runs in this interpreter, or in that of FEWBITS_HLS4ML_PYTHON. Raises `ExportRefused` and, with what
    hls4ml said, `RunFailed`.
    """
    written = write_network(model, folder, context)
    _make(folder, context)
    return written


def write_network(model: Any, folder: Path, context: ExportContext) -> Written:
    """Write all but the project, which needs no hls4ml. Raises `ExportRefused`."""
    try:
        project, inputs, outputs = hls4ml_project(model, by_input(context.samples))
    except NotInHls4ml as error:
        raise ExportRefused("hls4ml", [Refusal(error.layer, error.reason)]) from error
    document = project.document(inputs, outputs)
    (folder / "network.json").write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    arrays: dict[str, Any] = dict(project.arrays)
    np.savez(folder / "network.npz", **arrays)
    shutil.copy(_SCRIPT, folder / _SCRIPT.name)
    return Written(stage="logits", inexact=project.inexact)


def _make(folder: Path, context: ExportContext) -> None:
    python = os.environ.get("FEWBITS_HLS4ML_PYTHON", sys.executable)
    options = [
        word
        for name in ("backend", "reuse_factor", "strategy", "io_type", "part")
        for word in (f"--{name.replace('_', '-')}", str(context.options[name]))
    ]
    finished = subprocess.run(
        [python, str(folder / _SCRIPT.name), *options], capture_output=True, text=True, cwd=folder
    )
    if finished.returncode:
        said = (finished.stderr or finished.stdout).strip()[-2000:]
        raise RunFailed(f"format 'hls4ml': hls4ml made no project: {said}")
