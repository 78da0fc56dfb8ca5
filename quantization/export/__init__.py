"""Exports of a quantized model: integer weights, all parameters, and a table of the quantizers."""

from quantization.export.integers import export_integers
from quantization.export.parameters import export_parameters
from quantization.export.table import quantizer_table

__all__ = ["export_integers", "export_parameters", "quantizer_table"]
