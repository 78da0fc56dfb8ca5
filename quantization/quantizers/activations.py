"""Activation functions onto a grid: `quantized_tanh`, `quantized_sigmoid`, `quantized_ulaw`, `quantized_hswish`."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from keras import ops

from quantization.quantizers.backend import Tensor
from quantization.quantizers.base import MOST_LEVELS, BaseQuantizer, largest_code
from quantization.quantizers.fixed_point import QuantizedBitsQuantizer
from quantization.quantizers.rounding import hard_sigmoid, leaky_relu, round_through, stochastic_round
from quantization.specs.qkeras import QuantizedSigmoid, QuantizedTanh, QuantizedUlaw


class _Squashing(BaseQuantizer[Any]):
    """A bounded function, rounded half to even on `count` steps a unit, then clipped to `code_range`.

    The gradient is that of the function where the rounded value is within the range, 0 where it was clipped.
    """

    is_activation: ClassVar[bool] = True

    @property
    def count(self) -> float:
        """Steps in a unit."""
        raise NotImplementedError

    @property
    def code_range(self) -> tuple[float, float]:
        """Smallest and largest code."""
        raise NotImplementedError

    def function(self, x: Tensor) -> Tensor:
        """The function that is quantized."""
        raise NotImplementedError

    @property
    def grid(self) -> tuple[float, float, float]:
        return (*self.code_range, 1.0 / self.count)

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        low, high = self.code_range
        return ops.clip(self._rounded(x, training), low, high), 1.0 / self.count

    def _rounded(self, x: Tensor, training: bool) -> Tensor:
        ratio = self.function(x) * self.count
        if training and self.seed_generator is not None:
            return stochastic_round(ratio, self.seed_generator, 0.5 if self.spec.compat else 1.0)
        return ops.round(ratio)

    def surrogate(self, x: Tensor, training: bool = False) -> Tensor:
        low, high = self.code_range
        function = self.function(x)
        code = ops.round(function * self.count)
        return ops.where(ops.logical_and(code >= low, code <= high), function, 0.0)


class QuantizedTanhQuantizer(_Squashing):
    """`quantized_tanh`: tanh, by default the hard one (x clipped to [-1, 1]), in steps of 2^(1 - bits)."""

    spec: QuantizedTanh

    @property
    def count(self) -> float:
        return float(2.0 ** (self.spec.bits - 1))

    @property
    def code_range(self) -> tuple[float, float]:
        top = largest_code(self.count - 1.0)
        return (-top if self.spec.symmetric else -self.count), top

    def function(self, x: Tensor) -> Tensor:
        return ops.tanh(x) if self.spec.use_real_tanh else 2.0 * hard_sigmoid(x) - 1.0


class QuantizedSigmoidQuantizer(_Squashing):
    """`quantized_sigmoid`: sigmoid, by default the hard one (x/2 + 1/2 clipped), in steps of 2^-bits."""

    spec: QuantizedSigmoid

    @property
    def count(self) -> float:
        return float(2.0**self.spec.bits)

    @property
    def code_range(self) -> tuple[float, float]:
        return float(self.spec.symmetric), largest_code(self.count - 1.0)

    def function(self, x: Tensor) -> Tensor:
        return ops.sigmoid(x) if self.spec.use_real_sigmoid else hard_sigmoid(x)


class QuantizedUlawQuantizer(BaseQuantizer[QuantizedUlaw]):
    """`quantized_ulaw`: x/2^integer clipped to [-1, 1], rounded, then compressed by log(1 + u|x|) / log(1 + u).

    The gradient is that of the compression at the rounded value. Levels are not multiples of one step.
    """

    @property
    def count(self) -> float:
        """Steps in a unit."""
        return float(2.0 ** (self.spec.bits - 1))

    def levels(self) -> np.ndarray:
        if self.count > MOST_LEVELS / 32:
            raise ValueError(f"{self.spec} has more levels than can be listed; range() has the ends")
        # Two codes a step: the hard sigmoid halves its input before it is rounded.
        probe = np.linspace(-2.0, 2.0, 32 * int(self.count) + 1, dtype=np.float32) * 2.0**self.spec.integer
        return np.unique(np.asarray(ops.convert_to_numpy(self(probe)), dtype=np.float64))

    def range(self) -> tuple[float, float]:
        ends = np.array([-2.0, 2.0], np.float32) * 2.0**self.spec.integer
        low, high = np.asarray(ops.convert_to_numpy(self(ends)), dtype=np.float64)
        return float(low), float(high)

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        return ops.stop_gradient(self.quantize(x, training)), 1.0

    def quantize(self, x: Tensor, training: bool) -> Tensor:
        spec, count = self.spec, self.count
        rounded = round_through(hard_sigmoid(x / 2.0**spec.integer) * count)
        linear = 2.0 * (rounded / count) - 1.0
        compressed = ops.sign(linear) * ops.log(1.0 + spec.u * ops.abs(linear)) / math.log(1.0 + spec.u)
        high = largest_code(count - 1.0) / count
        low = -high if spec.symmetric else -1.0
        inside = ops.where(compressed > high, high, ops.where(compressed < low, low, compressed))
        return 2.0**spec.integer * inside


class QuantizedHswishQuantizer(QuantizedBitsQuantizer):
    """`quantized_hswish`: x * min(max(x + shift, 0), bound) / bound, then `quantized_bits`."""

    is_activation: ClassVar[bool] = True

    def function(self, x: Tensor) -> Tensor:
        """The hard swish before it is quantized."""
        spec: Any = self.spec
        shifted = x + float(spec.relu_shift)
        bound = float(spec.relu_upper_bound)
        return x * ops.where(shifted <= bound, leaky_relu(shifted, 0.0), bound) / bound

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        return super().encode(self.function(x), training)

    def surrogate(self, x: Tensor, training: bool = False) -> Tensor:
        return self.function(x)
