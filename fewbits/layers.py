"""Quantized Keras layers. Importing this module is all that `keras.models.load_model` needs to read a result.

`QUANTIZED_LAYERS` maps the class of a Keras layer to its quantized twin; `quantize`, `read_quantizers` and
`transfer_weights` convert models; `fold` joins batch normalizations with the layers before them.
"""

from fewbits.shadowing import MODEL_ROOMS, refuse_shadows

refuse_shadows(MODEL_ROOMS)

from quantization.layers import (  # noqa: E402
    QUANTIZED_LAYERS,
    AdaptiveActivation,
    QuantizedLayer,
    RangeInitializer,
    Shiftmax,
)
from quantization.models.convert import quantize, read_quantizers, transfer_weights  # noqa: E402
from quantization.models.fold import fold, unfold  # noqa: E402

__all__ = [
    "QUANTIZED_LAYERS",
    "AdaptiveActivation",
    "QuantizedLayer",
    "RangeInitializer",
    "Shiftmax",
    "fold",
    "quantize",
    "read_quantizers",
    "transfer_weights",
    "unfold",
]
