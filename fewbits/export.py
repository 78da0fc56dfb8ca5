"""What leaves a quantized model: files of a format, integers, all parameters, and the table of its quantizers."""

from quantization.export.comparison import Proof
from quantization.export.export import export_model
from quantization.export.integers import export_integers
from quantization.export.parameters import export_parameters
from quantization.export.proof import prove
from quantization.export.table import quantizer_table
from quantization.export.written import Export
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
