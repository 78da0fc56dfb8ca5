"""Poolings and upsamplings whose output is quantized."""

from __future__ import annotations

import keras

from quantization.layers.base import PACKAGE
from quantization.layers.outputs import AverageQuantized, OutputQuantized


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedAveragePooling3D(AverageQuantized, keras.layers.AveragePooling3D):
    """`AveragePooling3D` with quantized factor and output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedGlobalAveragePooling3D(AverageQuantized, keras.layers.GlobalAveragePooling3D):
    """`GlobalAveragePooling3D` with quantized factor and output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedMaxPooling1D(OutputQuantized, keras.layers.MaxPooling1D):
    """`MaxPooling1D` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedMaxPooling2D(OutputQuantized, keras.layers.MaxPooling2D):
    """`MaxPooling2D` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedMaxPooling3D(OutputQuantized, keras.layers.MaxPooling3D):
    """`MaxPooling3D` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedGlobalMaxPooling1D(OutputQuantized, keras.layers.GlobalMaxPooling1D):
    """`GlobalMaxPooling1D` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedGlobalMaxPooling2D(OutputQuantized, keras.layers.GlobalMaxPooling2D):
    """`GlobalMaxPooling2D` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedGlobalMaxPooling3D(OutputQuantized, keras.layers.GlobalMaxPooling3D):
    """`GlobalMaxPooling3D` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedUpSampling1D(OutputQuantized, keras.layers.UpSampling1D):
    """`UpSampling1D` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedUpSampling2D(OutputQuantized, keras.layers.UpSampling2D):
    """`UpSampling2D` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedUpSampling3D(OutputQuantized, keras.layers.UpSampling3D):
    """`UpSampling3D` with a quantized output."""
