"""Runs the format `keras`: Keras loads the model."""

from __future__ import annotations

import quantization.layers  # noqa: F401 -- Keras finds the quantized layers of a saved model by their names
from quantization.export.runners.keras_plain import run, versions

__all__ = ["run", "versions"]
