"""Quantizers: `parse_quantizer` reads a specification, `build_quantizer` makes a function of tensors of it."""

from fewbits.shadowing import MODEL_ROOMS, refuse_shadows

refuse_shadows(MODEL_ROOMS)

from quantization.quantizers import QUANTIZERS, BaseQuantizer, build_quantizer  # noqa: E402
from quantization.specs.parse import QuantizerSpec, parse_quantizer  # noqa: E402

__all__ = ["QUANTIZERS", "BaseQuantizer", "QuantizerSpec", "build_quantizer", "parse_quantizer"]
