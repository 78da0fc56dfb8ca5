"""Powers of two: `quantized_po2` and `quantized_relu_po2`."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from quantization.quantizers.backend import Tensor, round_to_power_of_two, sign, threshold
from quantization.quantizers.base import BaseQuantizer
from quantization.quantizers.rounding import exact_log2, leaky_relu, log2, power_of_two
from quantization.specs.power_of_two import QuantizedPo2, QuantizedReluPo2

#: Widest span of exponents whose codes are integers of int64.
_WIDEST = 62


class _PowerOfTwo(BaseQuantizer[Any]):
    """2^e with e = round(log2 |x|), clipped to the exponents of the specification."""

    @property
    def exponents(self) -> np.ndarray:
        """Every exponent that the bits can represent, the bound left aside where QKeras is followed."""
        low, high = self.spec.exponent_range
        if self.spec.quadratic_approximation:
            doubled = range(2 * low, 2 * high + 1, 2)
            return np.unique([low, *doubled] if self.spec.compat else [*doubled])
        return np.arange(low, high + 1)

    def magnitudes(self) -> np.ndarray:
        """Every positive level."""
        top = self.spec.max_value
        sizes = np.exp2(self.exponents.astype(np.float64))
        if top is None:
            return sizes
        reached = np.asarray(ops.convert_to_numpy(self.exponent_of(ops.convert_to_tensor([float(top)]))))
        return sizes[sizes <= float(np.exp2(reached[0]))]

    def exponent_of(self, size: Tensor, training: bool = False) -> Tensor:
        """Exponents of magnitudes, rounded in the logarithm: 2^(e + 1/2) is the border."""
        spec = self.spec
        low, high = spec.exponent_range
        epsilon = keras.config.epsilon()
        tiny = size < epsilon
        bounded = ops.where(tiny, epsilon, size)
        if spec.max_value is not None:
            bounded = ops.minimum(bounded, float(spec.max_value))
        factor = 2.0 if spec.quadratic_approximation else 1.0
        exponent = factor * ops.clip(self._logarithm(bounded, factor, training), float(low), float(high))
        # The reference does not double the exponent of nearly zero magnitudes, and so makes them larger than others.
        return ops.where(tiny, float(low) * (1.0 if spec.compat else factor), exponent)

    def _logarithm(self, size: Tensor, factor: float, training: bool) -> Tensor:
        """log2(size) / factor as a whole number, rounded as the specification says."""
        if self.spec.log2_rounding == "floor":
            return ops.floor((log2(size) if self.spec.compat else exact_log2(size)) / factor)
        if training and self.seed_generator is not None:
            root = size ** (1.0 / factor)
            below = ops.floor(exact_log2(root))
            above = (
                root / power_of_two(below) - 1.0
            )  # probability of the upper neighbour: the mean is the root
            return below + ops.cast(self._uniform(size) < above, "float32")
        return ops.round(exact_log2(size) / factor)

    def coded(self, signs: Tensor, size: Tensor, training: bool) -> tuple[Tensor, Any]:
        """Codes and scale of signs * 2^e, e the exponent of the size."""
        if self.is_nearest:
            return self._nearest(signs, size)
        return self._coded(signs, self.exponent_of(size, training))

    @property
    def is_nearest(self) -> bool:
        """Whether levels are the nearest powers of two by their logarithm, all of them normal float32 numbers."""
        low, high = self.spec.exponent_range
        plain = self.spec.log2_rounding == "rnd" and not (
            self.spec.quadratic_approximation or self.spec.compat
        )
        return plain and self.seed_generator is None and high - low <= _WIDEST and low >= -126 and high <= 127

    def _nearest(self, signs: Tensor, size: Tensor) -> tuple[Tensor, Any]:
        """`_coded(signs, exponent_of(size))` if `is_nearest`, without a logarithm."""
        low, high = self.spec.exponent_range
        top = 2.0**high if self.spec.max_value is None else min(2.0**high, float(self.spec.max_value))
        smallest = 2.0**low
        bounded = ops.minimum(ops.maximum(size, smallest), top)
        epsilon = keras.config.epsilon()
        if smallest < epsilon:  # what is below epsilon has the smallest exponent
            bounded = ops.where(size < epsilon, smallest, bounded)
        return signs * round_to_power_of_two(bounded, low), smallest

    def _coded(self, signs: Tensor, exponent: Tensor) -> tuple[Tensor, Any]:
        """Codes and scale of signs * 2^exponent: in units of the smallest level; signs if these would be too large."""
        lowest, highest = float(self.exponents[0]), float(self.exponents[-1])
        if highest - lowest > _WIDEST:
            return signs, power_of_two(exponent)
        return signs * power_of_two(exponent - lowest), float(2.0**lowest)

    def _uniform(self, x: Tensor) -> Tensor:
        return keras.random.uniform(ops.shape(x), dtype="float32", seed=self.seed_generator)


class QuantizedPo2Quantizer(_PowerOfTwo):
    """`quantized_po2`: sign(x) 2^e; 0 becomes the smallest positive level. The gradient is 1 everywhere."""

    spec: QuantizedPo2

    def levels(self) -> np.ndarray:
        sizes = self.magnitudes()
        return np.concatenate([-sizes[::-1], sizes])

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        return self.coded(sign(x), ops.abs(x), training)


class QuantizedReluPo2Quantizer(_PowerOfTwo):
    """`quantized_relu_po2`: 2^e for positive x, 0 where x is nearer to 0 than to the smallest power; may be leaky.

    The gradient is 1 up to `max_value`, the slope below 0, 0 above. `compat`: the smallest power in place of 0.
    """

    is_activation: ClassVar[bool] = True
    spec: QuantizedReluPo2

    def levels(self) -> np.ndarray:
        sizes = self.magnitudes()
        if not self.spec.negative_slope:
            return sizes if self.spec.compat else np.concatenate([[0.0], sizes])
        middle = [] if self.spec.compat else [0.0]
        return np.concatenate([-sizes[::-1], middle, sizes])

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        slope = self.spec.negative_slope
        if not slope:  # negative x has the sign 0 and the smallest exponent
            return self.coded(self._is_positive(x), x, training)
        above, below = leaky_relu(x, 0.0), leaky_relu(-x, 0.0) * slope
        signs = ops.where(x >= 0, self._is_positive(above), -self._is_positive(below))
        exponents = (self.exponent_of(size, training) for size in (above, below))
        return self._coded(signs, ops.where(x >= 0, *exponents))

    def _is_positive(self, size: Tensor) -> Tensor:
        """1, or 0 where the size is nearer to 0 than to the smallest level."""
        if self.spec.compat:
            return ops.ones_like(size)
        return threshold(size, 0.5 * 2.0 ** float(self.exponents[0]))

    def surrogate(self, x: Tensor, training: bool = False) -> Tensor:
        sloped = leaky_relu(x, self.spec.negative_slope)
        top = self.spec.max_value
        return sloped if top is None else ops.where(x <= top, sloped, top)

    def surrogate_range(self) -> tuple[float, float] | None:
        if self.spec.negative_slope:
            return None
        return 0.0, np.inf if self.spec.max_value is None else float(self.spec.max_value)
