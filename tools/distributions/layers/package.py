"""Quantized layers for Keras 3. Importing this package is all that `keras.models.load_model` needs.

`QUANTIZED_LAYERS` maps the class of a Keras layer to its quantized twin; `load_model` reads a `.keras` file;
`quantize` and `read_quantizers` convert models; `fold` joins batch normalizations with the layers before them.
"""

from __future__ import annotations

import os
from typing import Any

import keras

from quantization.layers import (
    QUANTIZED_LAYERS,
    AdaptiveActivation,
    QuantizedLayer,
    RangeInitializer,
    Shiftmax,
)
from quantization.models.convert import quantize, read_quantizers, transfer_weights
from quantization.models.fold import fold, unfold
from quantization.quantizers import build_quantizer
from quantization.specs.parse import parse_quantizer

__all__ = [
    "QUANTIZED_LAYERS",
    "AdaptiveActivation",
    "QuantizedLayer",
    "RangeInitializer",
    "Shiftmax",
    "build_quantizer",
    "fold",
    "load_model",
    "parse_quantizer",
    "quantize",
    "read_quantizers",
    "transfer_weights",
    "unfold",
]


def load_model(path: str | os.PathLike[str]) -> Any:
    """Read a `.keras` file of fewbits. Raises what `keras.models.load_model` raises."""
    return keras.models.load_model(path)
