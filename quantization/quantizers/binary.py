"""Two levels: `binary`, `stochastic_binary` and `bernoulli`."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from quantization.quantizers.backend import Tensor, sign
from quantization.quantizers.base import EVERYWHERE, BaseQuantizer, is_auto, unit_of
from quantization.quantizers.rounding import hard_sigmoid, stochastic_round
from quantization.quantizers.scales import AutoScale
from quantization.specs.qkeras import Bernoulli, Binary, StochasticBinary


class _TwoLevels(BaseQuantizer[Any]):
    """Base of the kinds with two levels."""

    is_activation: ClassVar[bool] = True

    def scale_of(self, x: Tensor, codes: Tensor) -> Any:
        """The scale of the specification, or the automatic one: that of least squares."""
        if not is_auto(self.spec):
            return self.constant(self.spec.alpha, x)
        return AutoScale.of(self).least_squares(x, codes)

    def draw(self, x: Tensor) -> Tensor:
        """True with probability sigmoid(temperature * x / std); std is 1 unless the scale is automatic."""
        std: Any = 1.0
        if is_auto(self.spec):
            std = AutoScale.of(self).deviation(x) + keras.config.epsilon()
        argument = self.spec.temperature * x / std
        probability = ops.sigmoid(argument) if self.spec.use_real_sigmoid else hard_sigmoid(argument)
        return keras.random.uniform(ops.shape(x), dtype="float32", seed=self.seed_generator) <= probability

    def surrogate_range(self) -> tuple[float, float] | None:
        return super().surrogate_range() if self.spec.alpha is None else EVERYWHERE

    def levels(self) -> np.ndarray:
        return np.array([-1.0, 1.0]) * unit_of(self.spec)


class BinaryQuantizer(_TwoLevels):
    """`binary`: the sign of x (0 as +1) times the scale. Without alpha the gradient is that of tanh, else 1."""

    spec: Binary

    def levels(self) -> np.ndarray:
        return np.array([0.0 if self.spec.use_01 else -1.0, 1.0]) * unit_of(self.spec)

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        codes = sign(self._dithered(x) if training and self.seed_generator is not None else x)
        if self.spec.use_01:
            codes = (codes + 1.0) * 0.5
        return codes, self.scale_of(x, codes)

    def _dithered(self, x: Tensor) -> Tensor:
        """x rounded stochastically to an eighth of twice its largest magnitude (at most 1); 0 gets either sign."""
        largest = ops.minimum(AutoScale.of(self).largest(x), 1.0) * 2.0 + keras.config.epsilon()
        rounded = stochastic_round(x / largest, self.seed_generator, 0.125)
        coin = keras.random.uniform(ops.shape(x), -1.0, 1.0, dtype="float32", seed=self.seed_generator)
        return ops.where(ops.equal(rounded, 0.0), coin, rounded)

    def surrogate(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.tanh(x) if self.spec.alpha is None else x


class StochasticBinaryQuantizer(_TwoLevels):
    """`stochastic_binary`: while training -1 or +1 drawn by sigmoid(temperature * x / std); else as `binary`."""

    spec: StochasticBinary

    @property
    def is_random(self) -> bool:
        return True

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        likelier = sign(x)
        codes = ops.where(self.draw(x), 1.0, -1.0) if training else likelier
        return codes, self.scale_of(x, likelier)

    def surrogate(self, x: Tensor, training: bool = False) -> Tensor:
        return ops.tanh(x) if self.spec.alpha is None and not training else x


class BernoulliQuantizer(_TwoLevels):
    """`bernoulli`: while training 0 or 1 drawn by sigmoid(temperature * x / std); at inference the likelier one.

    `compat` draws at inference too. The gradient is 1.
    """

    spec: Bernoulli

    @property
    def is_random(self) -> bool:
        return True

    def levels(self) -> np.ndarray:
        return np.array([0.0, 1.0]) * unit_of(self.spec)

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        likelier = ops.cast(x >= 0, "float32")
        codes = ops.cast(self.draw(x), "float32") if training or self.spec.compat else likelier
        return codes, self.scale_of(x, likelier)
