"""The kinds of Akida-style quantizers, one frozen class each. Plain: no Keras, no numpy.

Weights are symmetric, mid-tread: codes -(2^(bits-1) - 1) .. 2^(bits-1) - 1; activations are unsigned.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from costmodel.data_type import DataType, NumberFormat
from quantization.specs.base import Bits, NotNegative, NotNegatives, Number, Positive, QuantizerBase, Scaled

WeightBits = Annotated[Bits, Field(ge=2)]
ActivationBits = Annotated[Bits, Field(le=8)]


class _Weight(QuantizerBase):
    """Base of the weight quantizers."""

    shown = 1

    bits: WeightBits = 4

    def data_type(self) -> DataType:
        return DataType(NumberFormat.FIXED, self.bits, 0, True)


class Std(_Weight):
    """Range of `threshold` standard deviations of the tensor."""

    kind: Literal["std"] = "std"
    threshold: Positive = 3.0


class StdPerAxis(_Weight, Scaled):
    """Range of `threshold` standard deviations, one per channel."""

    kind: Literal["std_per_axis"] = "std_per_axis"
    threshold: Positive = 3.0


class TrainableStd(_Weight):
    """As `std`, with a threshold that is trained from its initial value."""

    kind: Literal["trainable_std"] = "trainable_std"
    threshold: Positive = 3.0


class Max(_Weight):
    """Range of the largest magnitude of the tensor."""

    kind: Literal["max"] = "max"


class MaxPerAxis(_Weight, Scaled):
    """Range of the largest magnitude, one per channel."""

    kind: Literal["max_per_axis"] = "max_per_axis"


class ScaleFactor(_Weight, Scaled):
    """Fixed factors: code = round(weight * factor); one, or one per channel."""

    kind: Literal["scale_factor"] = "scale_factor"
    scale_factors: NotNegative | NotNegatives = 1.0


class DiscreteRelu(QuantizerBase):
    """step * clip(ceil((x - threshold) / step), 0, 2^bits - 1).

    By default the step covers min(2^bits - 1, 6) and the threshold is half of it.
    """

    shown = 1

    kind: Literal["discrete_relu"] = "discrete_relu"
    bits: ActivationBits = 4
    threshold: Number | None = None
    step: Positive | None = None

    @property
    def step_width(self) -> float:
        """Distance between two levels."""
        levels = 2**self.bits - 1
        return self.step if self.step is not None else min(levels, 6) / levels

    @property
    def threshold_value(self) -> float:
        """The input above which the output is not zero."""
        return self.threshold if self.threshold is not None else self.step_width / 2

    def data_type(self) -> DataType:
        top = self.step_width * (2**self.bits - 1)
        return DataType(NumberFormat.FIXED, self.bits, max(math.frexp(top)[1], 0), False)
