"""Quantized activations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import keras

from quantization.layers.base import PACKAGE, QuantizedLayer


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedActivation(QuantizedLayer, keras.layers.Activation):
    """`keras.layers.Activation` with a quantized function."""

    SLOTS: ClassVar[Mapping[str, str]] = {"activation": "activation"}
