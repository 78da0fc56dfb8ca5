"""Integer weights of a quantized model."""

from __future__ import annotations

from typing import Final

import keras
import numpy as np

from quantization.models.convert import quantized_layers

_INTEGERS: Final = (np.int8, np.int16, np.int32, np.int64)


def export_integers(model: keras.Model) -> dict[str, np.ndarray]:
    """`<layer>/<slot>/codes` (the smallest integer type that holds them) and `<layer>/<slot>/scale` (float32).

    Their product is exactly the weight that the model computes with. Ready for `numpy.savez`. The model must be built.
    """
    arrays: dict[str, np.ndarray] = {}
    for layer in quantized_layers(model):
        for slot, (codes, scale) in layer.quantized_weights().items():
            arrays[f"{layer.name}/{slot}/codes"] = codes.astype(smallest_type(codes))
            arrays[f"{layer.name}/{slot}/scale"] = scale
    return arrays


def smallest_type(codes: np.ndarray) -> np.dtype:
    """The narrowest signed integer type that holds the codes."""
    low, high = (int(codes.min()), int(codes.max())) if codes.size else (0, 0)
    fits = (kind for kind in _INTEGERS if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max)
    return np.dtype(next(fits))
