"""Fixed point: `quantized_bits` and `quantized_linear`."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from quantization.quantizers.backend import Tensor, sign
from quantization.quantizers.base import BaseQuantizer, is_auto, largest_code, unit_of
from quantization.quantizers.rounding import round_half_away, stochastic_round
from quantization.quantizers.scales import AutoScale, alternated, quotient
from quantization.specs.qkeras import QuantizedBits, QuantizedLinear


class QuantizedBitsQuantizer(BaseQuantizer[QuantizedBits]):
    """`quantized_bits`: clip(round(x / step), low, high) * step * alpha, step = 2^(integer - bits + sign).

    Rounds half to even; the gradient is 1 everywhere. One signed bit is the sign, with 0 as +1. `alpha="auto"`
    takes the range of the data and rounds half away from zero; `"auto_po2"` refines a power of two by five rounds
    of least squares.
    """

    @property
    def step(self) -> float:
        """Distance of two levels before alpha."""
        return float(2.0 ** (self.spec.integer - self.spec.bits + self.spec.keep_negative))

    @property
    def is_sign(self) -> bool:
        """Whether one signed bit is all there is."""
        return self.spec.bits == 1 and self.spec.keep_negative

    @property
    def code_range(self) -> tuple[float, float]:
        """Smallest and largest code."""
        spec = self.spec
        if is_auto(spec) and spec.compat:
            top = largest_code(2.0 ** (spec.bits - 1) - 1.0)  # whatever keep_negative is
            return -top, top
        half = 2.0 ** (spec.bits - spec.keep_negative)
        top = largest_code(half - 1.0)
        if not spec.keep_negative:
            return 0.0, top
        return (-top if spec.symmetric or is_auto(spec) else -half), top

    @property
    def grid(self) -> tuple[float, float, float] | None:
        step = 1.0 if is_auto(self.spec) else self.step
        return None if self.is_sign else (*self.code_range, step * unit_of(self.spec))

    def levels(self) -> np.ndarray:
        return np.array([-1.0, 1.0]) * unit_of(self.spec) if self.is_sign else super().levels()

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        if is_auto(self.spec):
            return self._encode_auto(x)
        scale = self.constant(self.spec.alpha, x)
        if self.is_sign:
            return sign(x), scale
        low, high = self.code_range
        ratio = x * (1.0 / self.step)
        drawn = training and self.seed_generator is not None
        codes = stochastic_round(ratio, self.seed_generator) if drawn else ops.round(ratio)
        return ops.clip(codes, low, high), scale * self.step

    def _encode_auto(self, x: Tensor) -> tuple[Tensor, Any]:
        scaling = AutoScale.of(self)
        unit = 2.0**self.spec.integer
        x = x / unit
        if self.is_sign and not self.spec.compat:
            codes = sign(x)
            return codes, scaling.least_squares(x, codes) * unit
        if self.spec.post_training_scale is not None:
            scale = self.constant(self.spec.post_training_scale, x) * (self.step / unit)
        else:
            scale = self._scale_of(x, scaling)
        return self._auto_codes(x, scale), scale * unit

    def _scale_of(self, x: Tensor, scaling: AutoScale) -> Tensor:
        # Codes are symmetric, so that magnitudes are all that matters: half of the work on small kernels.
        top = self.code_range[1]
        size = ops.abs(x) if self.spec.keep_negative or self.spec.compat else ops.relu(x)
        scale = scaling.rounded(scaling.largest(size, magnitude=False) / top)
        if not scaling.power_of_two:
            return scale
        _, scale = alternated(
            scale,
            lambda scale: ops.minimum(ops.floor(size / scale + 0.5), top),
            lambda codes: scaling.least_squares(size, codes),
            5,
        )
        return scale

    def _auto_codes(self, x: Tensor, scale: Any) -> Tensor:
        low, high = self.code_range
        return ops.clip(round_half_away(quotient(x, scale)), low, high)


class QuantizedLinearQuantizer(BaseQuantizer[QuantizedLinear]):
    """`quantized_linear`: clip, then round half to even, in steps of 2^(integer - bits + sign) * alpha.

    The gradient is 1 within the range and 0 outside. One signed bit has the levels -1/2 and +1/2 of a step.
    """

    @property
    def step(self) -> float:
        """Distance of two levels before alpha."""
        return float(2.0 ** (self.spec.integer - self.spec.bits + self.spec.keep_negative))

    @property
    def is_sign(self) -> bool:
        """Whether one signed bit is all there is."""
        return self.spec.bits == 1 and self.spec.keep_negative

    @property
    def clip_range(self) -> tuple[float, float]:
        """Bounds in units of the step."""
        if self.is_sign:
            return -0.5, 0.5
        half = 2.0 ** (self.spec.bits - self.spec.keep_negative)
        top = largest_code(half - 1.0)
        if not self.spec.keep_negative:
            return 0.0, top
        return (-top if self.spec.symmetric else -half), top

    @property
    def unit(self) -> float:
        """The value of a code of 1, in units of the scale if that is automatic."""
        return (1.0 if is_auto(self.spec) else self.step) * unit_of(self.spec)

    @property
    def grid(self) -> tuple[float, float, float] | None:
        return None if self.is_sign else (*self.clip_range, self.unit)

    def levels(self) -> np.ndarray:
        return np.array([-0.5, 0.5]) * self.unit if self.is_sign else super().levels()

    def encode(self, x: Tensor, training: bool = False) -> tuple[Tensor, Any]:
        step = self._step_of(x)
        codes = self._codes(x, step, training)
        return (codes * 2.0, step * 0.5) if self.is_sign else (codes, step)

    def quantize(self, x: Tensor, training: bool) -> Tensor:
        step = ops.stop_gradient(self._step_of(x))
        value = ops.stop_gradient(self._codes(x, step, training) * step)
        low, high = self.clip_range
        # Without the margin, whether a channel's own maximum is inside would depend on how the division rounds.
        margin = 0.0 if self.spec.compat else 1e-5 * high
        inside = ops.logical_and(x / step >= low - margin, x / step <= high + margin)
        quantized = value + ops.where(inside, x - ops.stop_gradient(x), 0.0)
        if self.is_noiseless:
            return quantized
        return self.noise_factor * quantized + (1.0 - self.noise_factor) * x

    def _codes(self, x: Tensor, step: Any, training: bool) -> Tensor:
        low, high = self.clip_range
        shift = 0.5 if self.is_sign else 0.0
        inside = ops.clip(x / step, low, high) - shift
        if training and self.seed_generator is not None:
            return ops.clip(stochastic_round(inside, self.seed_generator), low - shift, high - shift) + shift
        return ops.round(inside) + shift

    def _step_of(self, x: Tensor) -> Any:
        if not is_auto(self.spec):
            return ops.convert_to_tensor(self.constant(self.spec.alpha, x) * self.step, "float32")
        scaling = AutoScale.of(self)
        low, high = self.clip_range
        if self.spec.keep_negative:
            step = scaling.largest(x, elementwise=self.spec.compat) * 2.0 / (high - low)
        else:
            step = scaling.largest(x, elementwise=self.spec.compat, magnitude=False) / (high - low)
        step = ops.maximum(step, keras.config.epsilon())
        if not scaling.power_of_two:
            return step
        step = scaling.rounded(step)
        for _ in range(1 if self.is_sign else 5):
            step = scaling.least_squares(x, self._codes(x, step, False))
        return step
