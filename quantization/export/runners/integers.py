"""Runs the format `integers` by its engine, with numpy alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from quantization.engine import logits
from quantization.export.context import Floats


def run(folder: Path, inputs: Floats) -> list[Floats]:
    """The logits."""
    return [np.asarray(logits(folder, inputs))]


def versions() -> dict[str, str]:
    """Of numpy."""
    return {"numpy": np.__version__}
