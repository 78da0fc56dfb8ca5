"""Fixed point with a width for each output channel of a weight: `quantized_bits_per_channel`."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from quantization.quantizers.backend import Tensor
from quantization.quantizers.base import MOST_LEVELS, BaseQuantizer, largest_code
from quantization.specs.per_channel import QuantizedBitsPerChannel


class QuantizedBitsPerChannelQuantizer(BaseQuantizer[QuantizedBitsPerChannel]):
    """clip(round(x / step), low, high) * step with step = 2^(integer - bits + sign), of each channel.

    Rounds half to even; the gradient is 1 everywhere. Raises `ValueError` for a tensor of another number of channels.
    """

    @property
    def signed(self) -> bool:
        return self.spec.keep_negative

    def steps(self) -> tuple[float, ...]:
        """Distance of two levels, for each channel."""
        return tuple(2.0**-fraction for fraction in self.spec.fraction_bits())

    def code_ranges(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Smallest code of each channel, and largest."""
        pairs = [self.spec.code_range(bits) for bits in self.spec.channel_bits]
        return tuple(float(low) for low, _ in pairs), tuple(largest_code(high) for _, high in pairs)

    def levels(self) -> np.ndarray:
        """Every level of any channel, ascending."""
        return np.unique(np.concatenate([self._levels(channel) for channel in range(self.spec.channels)]))

    def _levels(self, channel: int) -> np.ndarray:
        low, high = self.spec.code_range(self.spec.channel_bits[channel])
        if high - low > MOST_LEVELS:
            raise ValueError(
                f"{self.spec} has {high - low + 1} levels in a channel, more than can be listed; range() has the ends"
            )
        return np.arange(low, high + 1.0) * self.steps()[channel]

    def range(self) -> tuple[float, float]:
        lows, highs = self.code_ranges()
        steps = self.steps()
        ends = [(low * step, high * step) for low, high, step in zip(lows, highs, steps, strict=True)]
        return min(low for low, _ in ends), max(high for _, high in ends)

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        steps = self.constant(self.steps(), x)
        low, high = (self.constant(codes, x) for codes in self.code_ranges())
        return ops.clip(ops.round(x * (1.0 / steps)), low, high), steps
