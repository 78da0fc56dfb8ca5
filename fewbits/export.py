"""What leaves a quantized model: its integers, all its parameters, and the table of its quantizers."""

from quantization.export import export_integers, export_parameters, quantizer_table
from quantization.integer import integer_network

__all__ = ["export_integers", "export_parameters", "integer_network", "quantizer_table"]
