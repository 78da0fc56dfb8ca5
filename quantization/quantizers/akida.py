"""Akida-style quantizers: symmetric weights whose range is a statistic of the tensor, and ceiling activations."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
from keras import ops

from quantization.quantizers.backend import Tensor
from quantization.quantizers.base import BaseQuantizer, largest_code
from quantization.quantizers.rounding import round_through
from quantization.quantizers.scales import axes_of
from quantization.specs.akida import DiscreteRelu, MaxPerAxis, ScaleFactor, Std, StdPerAxis, TrainableStd

#: Largest scale factor, as in cnn2snn from 2.0.5 on: larger ones make thresholds too large for the chip.
LARGEST_FACTOR = 1000.0


class _AkidaWeight(BaseQuantizer[Any]):
    """clip(round(w * factor), -kmax, kmax) / factor, kmax = 2^(bits-1) - 1, rounding half to even.

    The gradient passes within the clip, and through the statistic the factor is made of.
    """

    @property
    def kmax(self) -> float:
        """Largest code."""
        return largest_code(2 ** (self.spec.bits - 1) - 1)

    def reach(self, w: Tensor) -> Tensor:
        """The magnitude that gets the largest code."""
        raise NotImplementedError

    def scale_factor(self, w: Any) -> Tensor:
        """1 / step: quantize(w) * scale_factor(w) is an integer. A zero tensor has the largest factor."""
        reach = self.reach(ops.cast(ops.convert_to_tensor(w), "float32"))
        some = reach > 0
        factor = self.kmax / ops.where(some, reach, 1.0)
        return ops.where(ops.logical_and(some, factor <= LARGEST_FACTOR), factor, LARGEST_FACTOR)

    def shared_axes(self, w: Tensor) -> tuple[int, ...]:
        """The axes over which a factor for each channel is shared; a vector has one factor, as in the other kinds."""
        rank = len(w.shape)
        separate = axes_of(self.channels, rank) if rank > 1 or self.follows_reference else ()
        return tuple(axis for axis in range(rank) if axis not in separate)

    @property
    def grid(self) -> tuple[float, float, float]:
        return -self.kmax, self.kmax, 1.0

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        factor = self.scale_factor(x)
        step = ops.where(factor > 0, 1.0 / ops.where(factor > 0, factor, 1.0), 0.0)
        codes = round_through(x * factor)
        within = ops.where(codes > self.kmax, self.kmax, ops.where(codes < -self.kmax, -self.kmax, codes))
        return within, step

    def quantize(self, x: Tensor, training: bool) -> Tensor:
        codes, step = self.encode(x, training)
        return codes * step


def _deviation(w: Tensor, axis: tuple[int, ...] | None) -> Tensor:
    """Standard deviation whose gradient is 0, not NaN, where all elements are equal."""
    centred = w - ops.mean(w, axis=axis, keepdims=axis is not None)
    variance = ops.mean(ops.square(centred), axis=axis, keepdims=axis is not None)
    some = variance > 0
    return ops.where(some, ops.sqrt(ops.where(some, variance, 1.0)), 0.0)


class StdQuantizer(_AkidaWeight):
    """`std`: the range is `threshold` standard deviations of the tensor."""

    spec: Std

    def reach(self, w: Tensor) -> Tensor:
        return self.spec.threshold * _deviation(w, None)


class StdPerAxisQuantizer(_AkidaWeight):
    """`std_per_axis`: the range is `threshold` standard deviations, one per channel."""

    spec: StdPerAxis

    def reach(self, w: Tensor) -> Tensor:
        return self.spec.threshold * _deviation(w, self.shared_axes(w))


class TrainableStdQuantizer(_AkidaWeight):
    """`trainable_std`: as `std`, with a threshold that is trained once a layer owns the quantizer."""

    spec: TrainableStd

    def __init__(self, spec: TrainableStd, channels: tuple[int, ...] = (-1,)) -> None:
        super().__init__(spec, channels)
        self.threshold: Any = spec.threshold

    @property
    def has_state(self) -> bool:
        return True

    def build(self, owner: keras.layers.Layer, slot: str) -> None:
        super().build(owner, slot)
        initial = keras.initializers.Constant(self.spec.threshold)
        self.threshold = owner.add_weight(
            name=f"{slot}_threshold", shape=(), initializer=initial, trainable=True, autocast=False
        )

    def reach(self, w: Tensor) -> Tensor:
        return self.threshold * _deviation(w, None)


class MaxQuantizer(_AkidaWeight):
    """`max`: the range is the largest magnitude of the tensor."""

    def reach(self, w: Tensor) -> Tensor:
        return ops.max(ops.abs(w))


class MaxPerAxisQuantizer(_AkidaWeight):
    """`max_per_axis`: the range is the largest magnitude, one per channel."""

    spec: MaxPerAxis

    def reach(self, w: Tensor) -> Tensor:
        return ops.max(ops.abs(w), axis=self.shared_axes(w), keepdims=True)


class ScaleFactorQuantizer(_AkidaWeight):
    """`scale_factor`: fixed factors, so that folding a batch normalization does not move the range."""

    spec: ScaleFactor

    def scale_factor(self, w: Any) -> Tensor:
        return ops.minimum(
            ops.convert_to_tensor(self.constant(self.spec.scale_factors, w), "float32"), LARGEST_FACTOR
        )


class DiscreteReluQuantizer(BaseQuantizer[DiscreteRelu]):
    """`discrete_relu`: step * clip(ceil((x - threshold) / step), 0, 2^bits - 1).

    An input equal to the threshold gives 0. The gradient is 1 where the code is within its range, 0 outside.
    """

    is_activation: ClassVar[bool] = True

    @property
    def top(self) -> float:
        """Largest code."""
        return float(2**self.spec.bits - 1)

    @property
    def grid(self) -> tuple[float, float, float]:
        return 0.0, self.top, self.spec.step_width

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        return ops.clip(self._ceiling(x), 0.0, self.top), self.spec.step_width

    def surrogate(self, x: Tensor, training: bool = False) -> Tensor:
        code = self._ceiling(x)
        return ops.where(ops.logical_and(code >= 0, code <= self.top), x, 0.0)

    def _ceiling(self, x: Tensor) -> Tensor:
        return ops.ceil((x - self.spec.threshold_value) / self.spec.step_width)
