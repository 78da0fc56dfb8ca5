"""New kernels that their quantizers would round to zero are scaled to the quantizers' range.

The output of a layer whose kernel is all zeros is constant, and a ReLU after it passes no gradient: it never learns.
He-uniform weights of a 3x3 convolution over 8 channels lie below 0.3, quantized_bits(2,1,1,alpha=1.0) rounds all below
0.5 to 0.
"""

from __future__ import annotations

from typing import Any, Final

import keras
import numpy as np

from quantization.models.convert import quantized_layers

#: Smallest share of a kernel's weights that must not be rounded to 0.
_NONZERO_SHARE: Final = 0.1


def rescale_zero_kernels(model: keras.Model) -> list[tuple[str, str]]:
    """Scale, in place, the kernels of new quantized layers that are nearly all rounded to 0; returns layers and slots.

    Their largest weight becomes the largest level of the quantizer. A kernel keeps its values where its quantizer
    derives a scale from the weights, and where its weights reach the largest level.
    """
    scaled = [
        (layer.name, slot)
        for layer in quantized_layers(model)
        for slot in layer.slots
        for owner in layer.slot_owners()
        if slot.endswith("kernel") and _rescale(owner, slot)
    ]
    return list(dict.fromkeys(scaled))


def _rescale(layer: Any, slot: str) -> bool:
    quantizer = layer.quantizer(slot)
    if quantizer is None or isinstance(getattr(quantizer.spec, "alpha", None), str):
        return False
    weights = np.asarray(keras.ops.convert_to_numpy(layer.weight_of(slot)))
    largest, top = float(np.max(np.abs(weights), initial=0.0)), float(quantizer.range()[1])
    if not 0.0 < largest < top:
        return False
    codes, _ = quantizer.to_integers(weights)
    if np.count_nonzero(codes) >= _NONZERO_SHARE * codes.size:
        return False
    layer.set_weight(slot, weights * np.float32(top / largest))
    return True
