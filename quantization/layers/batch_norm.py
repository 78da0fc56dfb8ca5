"""Quantized batch normalization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
from keras import ops

from quantization.layers.base import PACKAGE, QuantizedLayer


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedBatchNormalization(QuantizedLayer, keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` with quantized gamma, beta, mean and variance.

    Mean and variance are quantized after they are taken from the batch or from the moving statistics, which stay
    float. `inverse` quantizes gamma / sqrt(variance + epsilon) as one number and excludes gamma and variance.
    `activation` quantizes the output.
    """

    SLOTS: ClassVar[Mapping[str, str]] = {
        "gamma": "gamma",
        "beta": "beta",
        "mean": "moving_mean",
        "variance": "moving_variance",
        "inverse": "gamma",
        "activation": "",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        quantized = {slot for slot, spec in self.specs.items() if spec is not None}
        if "inverse" in quantized and quantized & {"gamma", "variance"}:
            raise ValueError(f"{self._label}: inverse replaces gamma and variance; quantize one or the other")
        if quantized and self.renorm:
            raise ValueError(f"{self._label}: renorm=True cannot be quantized; use renorm=False")

    @classmethod
    def configured(cls, slot: str, config: Mapping[str, Any]) -> bool:
        """Gamma exists with `scale`, beta with `center`."""
        needed = {"gamma": "scale", "beta": "center"}.get(slot)
        return needed is None or bool(config.get(needed, True))

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalized inputs; as Keras' own where no slot is quantized."""
        if not self._slot_quantizers:
            return keras.layers.BatchNormalization.call(self, inputs, training=training, mask=mask)
        x = ops.cast(inputs, "float32")
        mean, variance = self._statistics(x, training, mask)
        mean = self.quantize_slot("mean", mean, training)
        gamma = (
            self.quantize_slot("gamma", ops.convert_to_tensor(self.gamma), training) if self.scale else None
        )
        beta = self.quantize_slot("beta", ops.convert_to_tensor(self.beta), training) if self.center else None
        if self.quantizer("inverse") is not None:
            inverse = ops.rsqrt(variance + self.epsilon) * (1.0 if gamma is None else gamma)
            outputs = self._scaled(x, mean, self.quantize_slot("inverse", inverse, training), beta)
        else:
            variance = self.quantize_slot("variance", variance, training)
            outputs = ops.batch_normalization(
                x, mean, variance, axis=self.axis, offset=beta, scale=gamma, epsilon=self.epsilon
            )
        return ops.cast(self.quantize_slot("activation", outputs, training), self.compute_dtype)

    def _statistics(self, x: Any, training: bool | None, mask: Any) -> tuple[Any, Any]:
        """Moments of the batch, which also move the statistics, or the moving ones."""
        if not (training and self.trainable):
            return ops.convert_to_tensor(self.moving_mean), ops.convert_to_tensor(self.moving_variance)
        mean, variance = self._moments(x, mask)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        return mean, variance

    def _scaled(self, x: Any, mean: Any, inverse: Any, beta: Any) -> Any:
        shape = [1] * len(x.shape)
        shape[self.axis] = -1
        outputs = (x - ops.reshape(mean, shape)) * ops.reshape(inverse, shape)
        return outputs if beta is None else outputs + ops.reshape(beta, shape)

    def weight_of(self, slot: str) -> Any:
        """The float32 value that is quantized in a slot at inference."""
        if slot != "inverse":
            return super().weight_of(slot)
        inverse = ops.rsqrt(ops.convert_to_tensor(self.moving_variance) + self.epsilon)
        return inverse * ops.convert_to_tensor(self.gamma) if self.scale else inverse
