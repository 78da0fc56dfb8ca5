"""Three levels: `ternary` and `stochastic_ternary`."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from quantization.quantizers.backend import Tensor, ternary_sign
from quantization.quantizers.base import EVERYWHERE, BaseQuantizer, is_auto, unit_of
from quantization.quantizers.rounding import hard_sigmoid, stochastic_round
from quantization.quantizers.scales import AutoScale, alternated, quotient
from quantization.specs.qkeras import StochasticTernary, Ternary

#: The threshold if the specification has none and no automatic scale.
DEFAULT_THRESHOLD = 0.33


class TernaryQuantizer(BaseQuantizer[Any]):
    """`ternary`: -1, 0 or +1 times the scale; 0 below the threshold.

    `alpha="auto"` starts at two thirds of the largest magnitude and alternates codes (threshold: half the scale)
    and least squares `number_of_unrolls` times. Without alpha the gradient is that of tanh, else 1.
    """

    is_activation: ClassVar[bool] = True
    spec: Ternary | StochasticTernary

    def levels(self) -> np.ndarray:
        return np.array([-1.0, 0.0, 1.0]) * unit_of(self.spec)

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        if is_auto(self.spec):
            return self.fitted(x, training)
        return ternary_sign(x, self.threshold), self.constant(self.spec.alpha, x)

    @property
    def threshold(self) -> float:
        """Smallest magnitude with a code other than 0, if the scale is not automatic."""
        return self.spec.threshold if self.spec.threshold is not None else DEFAULT_THRESHOLD

    def fitted(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        """Codes and an automatic scale."""
        scaling = AutoScale.of(self)
        scale = scaling.rounded(2.0 * scaling.largest(x) / 3.0)
        if training and getattr(self.spec, "use_stochastic_rounding", False):
            return self._drawn_and_fitted(x, scale, scaling)

        def codes_of(scale: Tensor) -> Tensor:  # half to even: a tie at half the scale is 0
            return ops.clip(ops.round(quotient(x, scale)), -1.0, 1.0)

        return alternated(
            scale, codes_of, lambda codes: scaling.least_squares(x, codes), self.spec.number_of_unrolls
        )

    def _drawn_and_fitted(self, x: Tensor, scale: Tensor, scaling: AutoScale) -> tuple[Tensor, Any]:
        """`fitted` with codes drawn in every round."""
        codes = ops.zeros_like(x)
        for _ in range(self.spec.number_of_unrolls):
            ratio = stochastic_round(quotient(x, scale), self.seed_generator, 1.0 / 3.0)
            codes = ops.clip(ops.round(ratio), -1.0, 1.0)
            scale = scaling.least_squares(x, codes)
        return codes, scale

    def surrogate(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.tanh(x) if self.spec.alpha is None else x

    def surrogate_range(self) -> tuple[float, float] | None:
        return super().surrogate_range() if self.spec.alpha is None else EVERYWHERE


class StochasticTernaryQuantizer(TernaryQuantizer):
    """`stochastic_ternary`: while training the mean of two signs drawn around both thresholds; else as `ternary`.

    The probability that x is above a threshold is sigmoid(temperature * (x - threshold) / std).
    """

    spec: StochasticTernary

    @property
    def is_random(self) -> bool:
        return True

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        codes, scale = super().encode(x)
        if not training:
            return codes, scale
        threshold = scale / 2.0 if is_auto(self.spec) else self.threshold
        std = AutoScale.of(self).deviation(x) + keras.config.epsilon()
        above = self._drawn((x - threshold) / std)
        below = self._drawn((x + threshold) / std)
        return above + below - 1.0, scale

    def _drawn(self, x: Tensor) -> Tensor:
        argument = self.spec.temperature * x
        probability = ops.sigmoid(argument) if self.spec.use_real_sigmoid else hard_sigmoid(argument)
        noise = keras.random.uniform(ops.shape(x), dtype="float32", seed=self.seed_generator)
        return ops.cast(noise <= probability, "float32")

    def surrogate(self, x: Tensor, training: bool = False) -> Tensor:
        return x if training else super().surrogate(x)
