"""Quantizers: `parse_quantizer` reads a specification, `build_quantizer` makes a function of tensors of it."""

from quantization.quantizers import QUANTIZERS, BaseQuantizer, build_quantizer
from quantization.specs.parse import QuantizerSpec, parse_quantizer

__all__ = ["QUANTIZERS", "BaseQuantizer", "QuantizerSpec", "build_quantizer", "parse_quantizer"]
