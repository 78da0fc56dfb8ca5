"""`quantized_relu`: ReLU, leaky ReLU and its hard-sigmoid variant onto a fixed-point grid."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from keras import ops

from quantization.quantizers.backend import Tensor
from quantization.quantizers.base import MOST_LEVELS, BaseQuantizer, largest_code
from quantization.quantizers.rounding import (
    hard_sigmoid,
    leaky_relu,
    stochastic_round,
    straight_within,
)
from quantization.specs.qkeras import QuantizedRelu


class QuantizedReluQuantizer(BaseQuantizer[QuantizedRelu]):
    """`quantized_relu`: clip(round(x / step), 0, top) * step, step = 2^(integer - bits) (one bit more when leaky).

    Rounds half to even. The gradient is 1 within (0, top * step], the slope below, 0 above; without
    `is_quantized_clip` it is 0 only above `relu_upper_bound`.
    """

    is_activation: ClassVar[bool] = True

    @property
    def count(self) -> float:
        """Number of codes from zero upwards, 2^bits without the sign."""
        return float(2.0 ** (self.spec.bits - (self.spec.negative_slope != 0)))

    @property
    def step(self) -> float:
        """Distance of two levels."""
        return float(2.0**self.spec.integer / self.count)

    @property
    def top(self) -> float:
        """Largest code of the grid."""
        return largest_code(self.count - 1.0)

    @property
    def depth(self) -> float:
        """Codes below zero. A slope of less than a code below zero leaves none; QKeras then keeps a fraction of one."""
        depth = self.spec.negative_slope * self.count
        return depth if self.spec.compat else float(math.floor(depth))

    @property
    def bound(self) -> float | None:
        """The code of the upper bound, where it acts: a level, unless QKeras is followed."""
        bound = self.spec.relu_upper_bound
        if bound is None or self.spec.is_quantized_clip:
            return None
        return bound / self.step if self.spec.compat else float(math.floor(bound / self.step))

    @property
    def grid(self) -> tuple[float, float, float] | None:
        if self.spec.use_sigmoid or self.spec.compat:
            return None
        top = self.top if self.bound is None else min(self.bound, self.top)
        return -self.depth, top, self.step

    def levels(self) -> np.ndarray:
        if self.grid is not None:
            return super().levels()
        if self.count > MOST_LEVELS / 8:
            raise ValueError(f"{self.spec} has more levels than can be listed")
        probe = np.linspace(-self.count, self.count, 8 * int(self.count) + 1, dtype=np.float32) * self.step
        codes, scale = self.encode(ops.convert_to_tensor(probe * 2.0))
        return np.unique(np.asarray(ops.convert_to_numpy(codes), dtype=np.float64) * scale)

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        codes = self._sigmoid_codes(x, training) if self.spec.use_sigmoid else self._codes(x, training)
        return codes if self.bound is None else ops.minimum(codes, self.bound), self.step

    def quantize(self, x: Tensor, training: bool) -> Tensor:
        spec = self.spec
        if spec.negative_slope or not (spec.is_quantized_clip and spec.use_ste and self.is_noiseless):
            return super().quantize(x, training)
        # The common case in as few passes over the activations as possible.
        codes, scale = self.encode(x, training)
        return straight_within(codes * scale, x, 0.0, self.top * self.step)

    def _codes(self, x: Tensor, training: bool) -> Tensor:
        slope = self.spec.negative_slope
        ratio = x * (1.0 / self.step)
        codes = ops.clip(self._rounded(ratio, training), 0.0, self.top)
        if slope:
            codes = codes + ops.clip(self._rounded(ratio * slope, training), -self.depth, 0.0)
        return codes

    def _sigmoid_codes(self, x: Tensor, training: bool) -> Tensor:
        slope, count = self.spec.negative_slope, self.count
        ratio = hard_sigmoid(x * 2.0**-self.spec.integer) * count
        codes = ops.clip(2.0 * self._rounded(ratio, training) - count, 0.0, self.top)
        if slope:
            below = 2.0 * self._rounded(ratio * slope, training) - slope * count
            codes = codes + ops.clip(below, -self.depth, 0.0)
        return codes

    def _rounded(self, ratio: Tensor, training: bool) -> Tensor:
        if training and self.seed_generator is not None:
            return stochastic_round(ratio, self.seed_generator, 0.5 if self.spec.compat else 1.0)
        return ops.round(ratio)

    def straight_range(self) -> tuple[float, float] | None:
        spec = self.spec
        if spec.negative_slope or not (spec.use_ste and self.is_noiseless):
            return None
        top = self.top * self.step if spec.is_quantized_clip else spec.relu_upper_bound
        return 0.0, math.inf if top is None else float(top)

    def surrogate(self, x: Tensor, training: bool = False) -> Tensor:
        bound = self.spec.relu_upper_bound
        if self.spec.is_quantized_clip:
            bound = self.top * self.step
        sloped = leaky_relu(x, self.spec.negative_slope)
        return sloped if bound is None else ops.where(x <= bound, sloped, bound)
