"""Quantized Dense and Embedding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import keras

from quantization.layers.base import PACKAGE, QuantizedLayer


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedDense(QuantizedLayer, keras.layers.Dense):
    """`keras.layers.Dense` with quantized kernel, bias and activation."""

    SLOTS: ClassVar[Mapping[str, str]] = {"kernel": "_kernel", "bias": "bias", "activation": "activation"}


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedEmbedding(QuantizedLayer, keras.layers.Embedding):
    """`keras.layers.Embedding` with a quantized table."""

    SLOTS: ClassVar[Mapping[str, str]] = {"embeddings": "_embeddings"}
