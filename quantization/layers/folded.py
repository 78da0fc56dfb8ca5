"""Dense and convolution layers of every sort that own a batch normalization and quantize the folded kernel.

With z = x.W + b, batch moments (mu_B, var_B), moving ones (mu, var), gamma g and beta be:

- batch_stats_folding: kernel g W / sqrt(v + eps), bias g (b - m) / sqrt(v + eps) + be, with (m, v) those of the batch
  while the statistics are trained, else the moving ones;
- ema_stats_folding: the kernel is always folded with the moving variance; while the statistics are trained the
  product is multiplied by sqrt(var + eps) / sqrt(var_B + eps), and the bias uses those of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import keras
from keras import ops

from quantization.layers import convolution
from quantization.layers.base import PACKAGE, QuantizedLayer, QuantizerState, quantized_function, replaced
from quantization.layers.dense import QuantizedDense

FOLDING_MODES: Final = ("ema_stats_folding", "batch_stats_folding")

#: What of a layer may be frozen on its own: its own weights, or the normalization's weights and statistics.
FROZEN: Final = ("weights", "normalization")

#: Arguments of the batch normalization, passed through by name.
NORMALIZATION_ARGUMENTS: Final = (
    "momentum",
    "epsilon",
    "center",
    "scale",
    "beta_initializer",
    "gamma_initializer",
    "moving_mean_initializer",
    "moving_variance_initializer",
    "beta_regularizer",
    "gamma_regularizer",
    "beta_constraint",
    "gamma_constraint",
)


class FoldedLayer(QuantizedLayer):
    """Mixed into a Keras layer with a kernel: its batch normalization is folded into what is quantized.

    `FOLDED_SLOT` is the slot of the kernel whose output channels are normalized; other kernels are only quantized.

    `ema_freeze_delay`: training steps after which the statistics stay as they are; None or negative: never.
    `folding_mode`: see the module. `frozen`: one of `FROZEN`, which is not trained; None: all is. The other arguments
    are those of the layer and of `BatchNormalization`.
    The number of training steps, minus one, is the weight `iteration`.
    """

    FOLDED_SLOT: ClassVar[str] = "kernel"

    def __init__(
        self,
        *args: Any,
        axis: int = -1,
        ema_freeze_delay: int | None = None,
        folding_mode: str = "ema_stats_folding",
        frozen: str | None = None,
        **kwargs: Any,
    ) -> None:
        normalization = {name: kwargs.pop(name) for name in NORMALIZATION_ARGUMENTS if name in kwargs}
        super().__init__(*args, **kwargs)
        if folding_mode not in FOLDING_MODES:
            raise ValueError(
                f"{self._label}: folding_mode must be one of {FOLDING_MODES}, not {folding_mode!r}"
            )
        if frozen not in (None, *FROZEN):
            raise ValueError(f"{self._label}: frozen must be one of {FROZEN} or None, not {frozen!r}")
        self.axis = axis
        self.ema_freeze_delay = ema_freeze_delay
        self.folding_mode = folding_mode
        self.frozen = frozen
        self.counter = QuantizerState(name="counter")
        self.batchnorm = keras.layers.BatchNormalization(
            axis=self._channel_axis, name="batchnorm", dtype="float32", **normalization
        )
        if frozen == "normalization" or not self.trainable:  # type: ignore[attr-defined]
            self.batchnorm.trainable = False

    @classmethod
    def configured(cls, slot: str, config: Mapping[str, Any]) -> bool:
        """A folded layer always has a bias: that of the normalization."""
        return True

    @property
    def _channel_axis(self) -> int:
        """The axis of the outputs that the kernel makes; another one cannot be folded."""
        first = getattr(self, "data_format", "channels_last") == "channels_first"
        channels = 1 if first else -1
        if self.axis not in (channels, -1, getattr(self, "rank", 0) + 1):
            raise ValueError(
                f"{self._label}: only axis {channels}, that of the channels, can be folded, not {self.axis}"
            )
        return channels

    def build(self, input_shape: Any) -> None:
        """Build the layer, its normalization and the count of steps."""
        super().build(input_shape)
        if self.frozen == "weights":
            for variable in self._trainable_variables:  # type: ignore[attr-defined]
                variable.trainable = False
        self.batchnorm.build(self.compute_output_shape(input_shape))  # type: ignore[attr-defined]
        start = keras.initializers.Constant(-1)
        self.counter.iteration = self.counter.add_weight(
            name="iteration", shape=(), dtype="int32", initializer=start, trainable=False
        )
        self.counter.built = True

    @property
    def iteration(self) -> Any:
        """Training steps so far, minus one."""
        return self.counter.iteration

    # ---- what it does --------------------------------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The product with the quantized folded kernel, plus the quantized folded bias, activated."""
        kernels = self._other_kernels(training)
        moments = self._training_moments(inputs, kernels) if training else self._moving_moments()
        kernel = self._folded_kernel(moments.kernel_variance)
        kernels[self.FOLDED_SLOT] = self.quantize_slot(self.FOLDED_SLOT, kernel, training)
        bias = self.quantize_slot("bias", self._folded_bias(moments.mean, moments.variance), training)
        outputs = ops.cast(self._product(inputs, kernels), "float32")
        if moments.correction is not None:
            outputs = outputs * self._along_channels(moments.correction, outputs)
        outputs = ops.cast(outputs + self._along_channels(bias, outputs), self._computing)
        return self._activated(outputs, training)

    def get_folded_weights(self) -> list[Any]:
        """Kernel and bias folded with the moving statistics, not quantized."""
        moments = self._moving_moments()
        return [self._folded_kernel(moments.variance), self._folded_bias(moments.mean, moments.variance)]

    def weight_of(self, slot: str) -> Any:
        """What is quantized in a slot at inference: the folded kernel or bias."""
        folded = (self.FOLDED_SLOT, "bias")
        return self.get_folded_weights()[folded.index(slot)] if slot in folded else super().weight_of(slot)

    def set_quantized(self, slot: str, value: Any) -> None:
        """Change kernel or beta so that the folded ones have this value; a filter with a gamma of 0 stays."""
        if slot == "bias":
            self.move_bias(ops.convert_to_tensor(value) - self.weight_of("bias"))
        elif slot == self.FOLDED_SLOT:
            factors = self._along_kernel(self._inverse(self._moving_moments().variance))
            is_zero = ops.equal(factors, 0.0)
            unfolded = ops.convert_to_tensor(value) / ops.where(is_zero, 1.0, factors)
            self.set_weight(slot, ops.where(is_zero, self._raw(slot), unfolded))
        else:
            super().set_quantized(slot, value)

    def move_bias(self, shift: Any) -> None:
        """Add to the folded bias, by beta or, without one, by the moving mean."""
        if self.batchnorm.center:
            self.batchnorm.beta.assign(ops.convert_to_tensor(self.batchnorm.beta) + shift)
        else:
            moments = self._moving_moments()
            self.batchnorm.moving_mean.assign(moments.mean - shift / self._inverse(moments.variance))

    def _other_kernels(self, training: bool | None) -> dict[str, Any]:
        """The quantized kernels that the normalization is not folded into."""
        slots = [
            slot for slot in self.SLOTS if self._is_weight(slot) and slot not in (self.FOLDED_SLOT, "bias")
        ]
        return {slot: self.quantize_slot(slot, self._raw(slot), training) for slot in slots}

    def _moving_moments(self) -> _Moments:
        # Statistics are constants to the gradient: on JAX, what was just assigned would still be traced.
        mean = ops.stop_gradient(ops.convert_to_tensor(self.batchnorm.moving_mean))
        variance = ops.stop_gradient(ops.convert_to_tensor(self.batchnorm.moving_variance))
        return _Moments(mean, variance, variance, None)

    def _training_moments(self, inputs: Any, kernels: Mapping[str, Any]) -> _Moments:
        """Moments of the batch, which also move the statistics; the moving ones once they are frozen."""
        if self.frozen == "normalization" or not self.trainable:  # type: ignore[attr-defined]
            return self._moving_moments()
        raw = {**kernels, self.FOLDED_SLOT: self._raw(self.FOLDED_SLOT)}
        outputs = ops.cast(self._product(inputs, raw), "float32")
        if self._has_own_bias:
            outputs = outputs + self._along_channels(self._raw("bias"), outputs)
        channel = self._channel_axis % len(outputs.shape)
        axes = [axis for axis in range(len(outputs.shape)) if axis != channel]
        mean, variance = ops.moments(outputs, axes=axes)
        active = self._count_step()
        before = self._moving_moments()
        momentum = self.batchnorm.momentum
        for variable, old, new in (
            (self.batchnorm.moving_mean, before.mean, mean),
            (self.batchnorm.moving_variance, before.variance, variance),
        ):
            variable.assign(_chosen(active, old * momentum + new * (1.0 - momentum), old))
        now = self._moving_moments()
        mean, used = _chosen(active, mean, now.mean), _chosen(active, variance, now.variance)
        if self.folding_mode == "batch_stats_folding":
            return _Moments(mean, used, used, None)
        epsilon = self.batchnorm.epsilon
        correction = ops.sqrt(now.variance + epsilon) / ops.sqrt(used + epsilon)
        return _Moments(mean, used, now.variance, correction)

    def _count_step(self) -> Any:
        """Whether this training step trains the statistics: True, or a tensor if it ends after some steps."""
        delay = self.ema_freeze_delay
        active = True if delay is None or delay < 0 else ops.convert_to_tensor(self.iteration) <= delay
        self.iteration.assign(self.iteration + 1)
        return active

    def _product(self, inputs: Any, kernels: Mapping[str, Any]) -> Any:
        """What the layer computes with these kernels, without bias and activation."""
        changes: list[tuple[Any, str, Any]] = [
            *((self, self.SLOTS[slot], ops.cast(value, self._computing)) for slot, value in kernels.items()),
            (self, "bias", None),
            (self, "use_bias", False),
            (self, "activation", keras.activations.linear),
        ]
        with replaced(changes):
            return self.plain_call(inputs)

    def _inverse(self, variance: Any) -> Any:
        """gamma / sqrt(variance + epsilon)."""
        inverse = ops.rsqrt(variance + self.batchnorm.epsilon)
        return inverse * ops.convert_to_tensor(self.batchnorm.gamma) if self.batchnorm.scale else inverse

    def _folded_kernel(self, variance: Any) -> Any:
        return self._raw(self.FOLDED_SLOT) * self._along_kernel(self._inverse(variance))

    def _folded_bias(self, mean: Any, variance: Any) -> Any:
        bias = self._raw("bias") if self._has_own_bias else 0.0
        folded = self._inverse(variance) * (bias - mean)
        return folded + ops.convert_to_tensor(self.batchnorm.beta) if self.batchnorm.center else folded

    def _along_kernel(self, factors: Any) -> Any:
        """One factor per output channel, shaped for the kernel, whose last axis they are."""
        return factors

    def _along_channels(self, values: Any, outputs: Any) -> Any:
        shape = [1] * len(outputs.shape)
        shape[self._channel_axis] = -1
        return ops.reshape(values, shape)

    def _activated(self, outputs: Any, training: bool | None) -> Any:
        function, quantizer = self._attribute("activation"), self.quantizer("activation")
        if quantizer is not None:
            return quantized_function(function, quantizer, bool(training))(outputs)
        return outputs if function is None else function(outputs)

    def weight(self, slot: str) -> Any:
        """The variable of a slot, not folded."""
        return self._attribute(slot)

    def _raw(self, slot: str) -> Any:
        return ops.convert_to_tensor(self._attribute(slot))

    @property
    def _has_own_bias(self) -> bool:
        return bool(self.use_bias)  # type: ignore[attr-defined]

    def get_config(self) -> dict[str, Any]:
        """The layer's configuration, the normalization's, and how the two are folded."""
        normalization = self.batchnorm.get_config()
        return (
            super().get_config()
            | {name: normalization[name] for name in NORMALIZATION_ARGUMENTS}
            | {
                "axis": self.axis,
                "ema_freeze_delay": self.ema_freeze_delay,
                "folding_mode": self.folding_mode,
                "frozen": self.frozen,
            }
        )


@dataclass(frozen=True)
class _Moments:
    """What a call folds with: mean and variance of the bias, variance of the kernel, correction of the product."""

    mean: Any
    variance: Any
    kernel_variance: Any
    correction: Any


def _chosen(active: Any, new: Any, old: Any) -> Any:
    """`new` where the statistics are trained, `old` where they are frozen."""
    return new if active is True else ops.where(active, new, old)


class FoldedDepthwise(FoldedLayer):
    """A folded layer whose kernel's last two axes make the output channels."""

    def _along_kernel(self, factors: Any) -> Any:
        return ops.reshape(factors, (-1, self.depth_multiplier))  # type: ignore[attr-defined]


class FoldedTransposed(FoldedLayer):
    """A folded layer whose kernel's last axis but one is that of its outputs."""

    def _along_kernel(self, factors: Any) -> Any:
        return ops.expand_dims(factors, -1)


class FoldedSeparable(FoldedLayer):
    """A folded layer of two kernels, of which the pointwise one makes the outputs."""

    FOLDED_SLOT: ClassVar[str] = "pointwise_kernel"


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedDenseBatchNormalization(FoldedLayer, QuantizedDense):
    """`Dense` and `BatchNormalization` in one, folded before quantization."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedConv1DBatchNormalization(FoldedLayer, convolution.QuantizedConv1D):
    """`Conv1D` and `BatchNormalization` in one, folded before quantization."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedConv2DBatchNormalization(FoldedLayer, convolution.QuantizedConv2D):
    """`Conv2D` and `BatchNormalization` in one, folded before quantization."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedConv1DTransposeBatchNormalization(FoldedTransposed, convolution.QuantizedConv1DTranspose):
    """`Conv1DTranspose` and `BatchNormalization` in one, folded before quantization."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedConv2DTransposeBatchNormalization(FoldedTransposed, convolution.QuantizedConv2DTranspose):
    """`Conv2DTranspose` and `BatchNormalization` in one, folded before quantization."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedDepthwiseConv1DBatchNormalization(FoldedDepthwise, convolution.QuantizedDepthwiseConv1D):
    """`DepthwiseConv1D` and `BatchNormalization` in one, folded before quantization."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedDepthwiseConv2DBatchNormalization(FoldedDepthwise, convolution.QuantizedDepthwiseConv2D):
    """`DepthwiseConv2D` and `BatchNormalization` in one, folded before quantization."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedSeparableConv1DBatchNormalization(FoldedSeparable, convolution.QuantizedSeparableConv1D):
    """`SeparableConv1D` and `BatchNormalization` in one, folded into the pointwise kernel before quantization."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedSeparableConv2DBatchNormalization(FoldedSeparable, convolution.QuantizedSeparableConv2D):
    """`SeparableConv2D` and `BatchNormalization` in one, folded into the pointwise kernel before quantization."""


#: Class with a batch normalization folded in -> its quantized layer.
FOLDED_LAYERS: Final[Mapping[str, type[Any]]] = {
    cls.__name__.removeprefix("Quantized"): cls
    for cls in (
        QuantizedDenseBatchNormalization,
        QuantizedConv1DBatchNormalization,
        QuantizedConv2DBatchNormalization,
        QuantizedConv1DTransposeBatchNormalization,
        QuantizedConv2DTransposeBatchNormalization,
        QuantizedDepthwiseConv1DBatchNormalization,
        QuantizedDepthwiseConv2DBatchNormalization,
        QuantizedSeparableConv1DBatchNormalization,
        QuantizedSeparableConv2DBatchNormalization,
    )
}
