"""Quantized convolutions: plain, depthwise, separable, transposed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

import keras

from quantization.layers.base import PACKAGE, QuantizedLayer

_CONVOLUTION: Final = {"kernel": "_kernel", "bias": "bias", "activation": "activation"}
_OTHER: Final = {"kernel": "kernel", "bias": "bias", "activation": "activation"}
_SEPARABLE: Final = {
    "kernel": "depthwise_kernel",
    "pointwise_kernel": "pointwise_kernel",
    "bias": "bias",
    "activation": "activation",
}


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedConv1D(QuantizedLayer, keras.layers.Conv1D):
    """`keras.layers.Conv1D` with quantized kernel, bias and activation."""

    SLOTS: ClassVar[Mapping[str, str]] = _CONVOLUTION


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedConv2D(QuantizedLayer, keras.layers.Conv2D):
    """`keras.layers.Conv2D` with quantized kernel, bias and activation."""

    SLOTS: ClassVar[Mapping[str, str]] = _CONVOLUTION


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedConv1DTranspose(QuantizedLayer, keras.layers.Conv1DTranspose):
    """`keras.layers.Conv1DTranspose` with quantized kernel, bias and activation."""

    SLOTS: ClassVar[Mapping[str, str]] = _OTHER


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedConv2DTranspose(QuantizedLayer, keras.layers.Conv2DTranspose):
    """`keras.layers.Conv2DTranspose` with quantized kernel, bias and activation."""

    SLOTS: ClassVar[Mapping[str, str]] = _OTHER


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedDepthwiseConv1D(QuantizedLayer, keras.layers.DepthwiseConv1D):
    """`keras.layers.DepthwiseConv1D` with quantized kernel, bias and activation."""

    SLOTS: ClassVar[Mapping[str, str]] = _OTHER


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedDepthwiseConv2D(QuantizedLayer, keras.layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` with quantized kernel, bias and activation."""

    SLOTS: ClassVar[Mapping[str, str]] = _OTHER


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedSeparableConv1D(QuantizedLayer, keras.layers.SeparableConv1D):
    """`keras.layers.SeparableConv1D` with both kernels, bias and activation quantized."""

    SLOTS: ClassVar[Mapping[str, str]] = _SEPARABLE


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedSeparableConv2D(QuantizedLayer, keras.layers.SeparableConv2D):
    """`keras.layers.SeparableConv2D` with both kernels, bias and activation quantized."""

    SLOTS: ClassVar[Mapping[str, str]] = _SEPARABLE
