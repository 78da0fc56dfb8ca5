"""Quantizers as functions of tensors: `build_quantizer(spec)` returns the quantizer of a specification."""

from collections.abc import Mapping
from typing import Any, Final

from quantization.quantizers.activations import (
    QuantizedHswishQuantizer,
    QuantizedSigmoidQuantizer,
    QuantizedTanhQuantizer,
    QuantizedUlawQuantizer,
)
from quantization.quantizers.akida import (
    DiscreteReluQuantizer,
    MaxPerAxisQuantizer,
    MaxQuantizer,
    ScaleFactorQuantizer,
    StdPerAxisQuantizer,
    StdQuantizer,
    TrainableStdQuantizer,
)
from quantization.quantizers.base import BaseQuantizer
from quantization.quantizers.binary import BernoulliQuantizer, BinaryQuantizer, StochasticBinaryQuantizer
from quantization.quantizers.fixed_point import QuantizedBitsQuantizer, QuantizedLinearQuantizer
from quantization.quantizers.per_channel import QuantizedBitsPerChannelQuantizer
from quantization.quantizers.power_of_two import QuantizedPo2Quantizer, QuantizedReluPo2Quantizer
from quantization.quantizers.relu import QuantizedReluQuantizer
from quantization.quantizers.rounding import ceil_through, floor_through, round_through
from quantization.quantizers.ternary import StochasticTernaryQuantizer, TernaryQuantizer
from quantization.specs.parse import QuantizerSpec

__all__ = [
    "QUANTIZERS",
    "BaseQuantizer",
    "build_quantizer",
    "ceil_through",
    "floor_through",
    "round_through",
]

#: Kind of a specification -> class of its quantizer.
QUANTIZERS: Final[Mapping[str, type[BaseQuantizer[Any]]]] = {
    "quantized_bits": QuantizedBitsQuantizer,
    "quantized_bits_per_channel": QuantizedBitsPerChannelQuantizer,
    "quantized_linear": QuantizedLinearQuantizer,
    "quantized_relu": QuantizedReluQuantizer,
    "quantized_ulaw": QuantizedUlawQuantizer,
    "quantized_tanh": QuantizedTanhQuantizer,
    "quantized_sigmoid": QuantizedSigmoidQuantizer,
    "quantized_hswish": QuantizedHswishQuantizer,
    "quantized_po2": QuantizedPo2Quantizer,
    "quantized_relu_po2": QuantizedReluPo2Quantizer,
    "binary": BinaryQuantizer,
    "ternary": TernaryQuantizer,
    "stochastic_binary": StochasticBinaryQuantizer,
    "stochastic_ternary": StochasticTernaryQuantizer,
    "bernoulli": BernoulliQuantizer,
    "std": StdQuantizer,
    "std_per_axis": StdPerAxisQuantizer,
    "trainable_std": TrainableStdQuantizer,
    "max": MaxQuantizer,
    "max_per_axis": MaxPerAxisQuantizer,
    "scale_factor": ScaleFactorQuantizer,
    "discrete_relu": DiscreteReluQuantizer,
}


def build_quantizer(spec: QuantizerSpec, channels: tuple[int, ...] = (-1,)) -> BaseQuantizer[Any]:
    """The quantizer of a specification, for tensors whose channels lie along these axes."""
    return QUANTIZERS[spec.kind](spec, channels)
