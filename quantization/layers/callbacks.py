"""Callbacks of quantized training."""

from __future__ import annotations

from typing import Any, Literal

import keras

from quantization.layers.base import QuantizedLayer


class QuantizationNoise(keras.callbacks.Callback):
    """Ramps the quantization-noise factor of a model: 0 trains the float values, 1 the quantized ones.

    From `start` to `finish` (steps or epochs, by `every`) the factor is `initial` + (`final` - `initial`) *
    (1 - (1 - t)^exponent), t rising from 0 to 1. Only quantizers whose `qnoise_factor` is below 1 are changed: their
    factor is a variable. Raises `ValueError` if the model has none.
    """

    def __init__(
        self,
        start: int,
        finish: int,
        *,
        every: Literal["step", "epoch"] = "step",
        exponent: float = 3.0,
        initial: float = 0.0,
        final: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 <= start < finish:
            raise ValueError(f"needs 0 <= start < finish, not start={start}, finish={finish}")
        if every not in ("step", "epoch") or exponent <= 0 or not 0 <= initial <= 1 or not 0 <= final <= 1:
            raise ValueError(
                "every is 'step' or 'epoch', exponent above 0, initial and final between 0 and 1"
            )
        self.start, self.finish, self.every = start, finish, every
        self.exponent, self.initial, self.final = exponent, initial, final
        self._count = 0

    def factor(self, count: int) -> float:
        """The factor after `count` steps or epochs."""
        passed = min(max((count - self.start) / (self.finish - self.start), 0.0), 1.0)
        ramp = 1.0 - (1.0 - passed) ** self.exponent
        return float(self.initial + (self.final - self.initial) * ramp)

    def on_train_begin(self, logs: Any = None) -> None:
        """Set the first factor."""
        self._count = 0
        self._set()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the factor of this step."""
        if self.every == "step":
            self._set()
            self._count += 1

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Set the factor of this epoch."""
        if self.every == "epoch":
            self._count = epoch
            self._set()

    def _set(self) -> None:
        variables = noise_variables(self.model)
        if not variables:
            raise ValueError("no quantizer of the model has a noise factor: set a qnoise_factor below 1")
        for variable in variables:
            variable.assign(self.factor(self._count))


def noise_variables(model: keras.Model) -> list[Any]:
    """The noise factors of a built model that may be changed."""
    layers = [layer for layer in model.layers if isinstance(layer, QuantizedLayer)]
    quantizers = [layer.quantizer(slot) for layer in layers for slot in layer.effective_specs]
    factors = [quantizer.noise_factor for quantizer in quantizers if quantizer is not None]
    return [factor for factor in factors if hasattr(factor, "assign")]
