"""What formats share that are a Python file with its arrays, run once to make the model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from quantization.export.errors import RunFailed


def write_source_files(folder: Path, text: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write `model.py` and `weights.npz`."""
    (folder / "model.py").write_text(text)
    named: dict[str, Any] = dict(arrays)
    np.savez(folder / "weights.npz", **named)


def run_source(folder: Path, name: str, failure: str, **variables: str) -> None:
    """Run `model.py` by this interpreter, or the one that FEWBITS_<FORMAT>_PYTHON names.

    Raises `RunFailed` with `failure` and what it said.
    """
    python = os.environ.get(f"FEWBITS_{name.upper()}_PYTHON", sys.executable)
    environment = {**os.environ, "PYTHONPATH": "", **variables}
    finished = subprocess.run(
        [python, "model.py"], capture_output=True, text=True, cwd=folder, env=environment
    )
    if finished.returncode:
        raise RunFailed(f"format {name!r}: {failure}: {finished.stderr.strip()[-2000:]}")
