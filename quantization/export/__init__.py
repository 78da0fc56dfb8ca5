"""Exports of a quantized model: integer weights, and a table of the quantizers."""

from quantization.export.integers import export_integers
from quantization.export.table import quantizer_table

__all__ = ["export_integers", "quantizer_table"]
