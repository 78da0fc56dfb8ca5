"""What leaves a quantized model: files of a format, integers, all parameters, and the table of its quantizers."""

from quantization.export.export import Export, export_model
from quantization.export.integers import export_integers
from quantization.export.parameters import export_parameters
from quantization.export.proof import Proof, prove
from quantization.export.table import quantizer_table
from quantization.integer import integer_network

__all__ = [
    "Export",
    "Proof",
    "export_integers",
    "export_model",
    "export_parameters",
    "integer_network",
    "prove",
    "quantizer_table",
]
