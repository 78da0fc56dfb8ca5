"""What leaves a quantized model: files of a format, integers, all parameters, and the table of its quantizers."""

from fewbits.shadowing import MODEL_ROOMS, refuse_shadows

refuse_shadows(MODEL_ROOMS)

from quantization.export.comparison import Proof  # noqa: E402
from quantization.export.export import export_model  # noqa: E402
from quantization.export.integers import export_integers  # noqa: E402
from quantization.export.parameters import export_parameters  # noqa: E402
from quantization.export.proof import prove  # noqa: E402
from quantization.export.table import quantizer_table  # noqa: E402
from quantization.export.written import Export  # noqa: E402
from quantization.integer import integer_network  # noqa: E402

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
