"""A quantized model, run in integers only."""

from quantization.integer.activations import NotInIntegers
from quantization.integer.compile import integer_network
from quantization.integer.network import IntegerNetwork
from quantization.integer.tensor import IntegerOverflow, IntegerTensor

__all__ = ["IntegerNetwork", "IntegerOverflow", "IntegerTensor", "NotInIntegers", "integer_network"]
