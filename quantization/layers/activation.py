"""Quantized activations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
from keras import ops

from quantization.layers.base import PACKAGE, QuantizedLayer


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedActivation(QuantizedLayer, keras.layers.Activation):
    """`keras.layers.Activation` with a quantized function."""

    SLOTS: ClassVar[Mapping[str, str]] = {"activation": "activation"}


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedInput(QuantizedActivation):
    """The quantizer of a model's input, behind its `InputLayer`; whole numbers pass it as floats."""

    def __init__(self, activation: Any = "linear", **kwargs: Any) -> None:
        super().__init__(activation, **kwargs)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The input on the quantizer's grid."""
        return super().call(ops.cast(inputs, self.compute_dtype), training)
