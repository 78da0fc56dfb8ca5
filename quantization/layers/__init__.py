"""Quantized Keras layers. Importing this package is all that `keras.models.load_model` needs to read them."""

from collections.abc import Mapping
from typing import Any, Final

from quantization.layers.activation import QuantizedActivation, QuantizedInput
from quantization.layers.attention import QuantizedMultiHeadAttention
from quantization.layers.base import QuantizedLayer
from quantization.layers.batch_norm import QuantizedBatchNormalization
from quantization.layers.convolution import (
    QuantizedConv1D,
    QuantizedConv1DTranspose,
    QuantizedConv2D,
    QuantizedConv2DTranspose,
    QuantizedDepthwiseConv1D,
    QuantizedDepthwiseConv2D,
    QuantizedSeparableConv1D,
    QuantizedSeparableConv2D,
)
from quantization.layers.dense import QuantizedDense, QuantizedEmbedding
from quantization.layers.folded import FOLDED_LAYERS
from quantization.layers.functions import (
    QuantizedELU,
    QuantizedLeakyReLU,
    QuantizedPReLU,
    QuantizedReLU,
    QuantizedSoftmax,
)
from quantization.layers.initializers import RangeInitializer
from quantization.layers.normalization import (
    QuantizedGroupNormalization,
    QuantizedLayerNormalization,
    QuantizedRMSNormalization,
    QuantizedUnitNormalization,
)
from quantization.layers.outputs import (
    AdaptiveActivation,
    QuantizedAdd,
    QuantizedAverage,
    QuantizedAveragePooling1D,
    QuantizedAveragePooling2D,
    QuantizedConcatenate,
    QuantizedDot,
    QuantizedGlobalAveragePooling1D,
    QuantizedGlobalAveragePooling2D,
    QuantizedMaximum,
    QuantizedMinimum,
    QuantizedMultiply,
    QuantizedRescaling,
    QuantizedResizing,
    QuantizedShiftmax,
    QuantizedSubtract,
    Shiftmax,
)
from quantization.layers.pooling import (
    QuantizedAveragePooling3D,
    QuantizedGlobalAveragePooling3D,
    QuantizedGlobalMaxPooling1D,
    QuantizedGlobalMaxPooling2D,
    QuantizedGlobalMaxPooling3D,
    QuantizedMaxPooling1D,
    QuantizedMaxPooling2D,
    QuantizedMaxPooling3D,
    QuantizedUpSampling1D,
    QuantizedUpSampling2D,
    QuantizedUpSampling3D,
)
from quantization.layers.recurrent import (
    QuantizedBidirectional,
    QuantizedGRU,
    QuantizedLSTM,
    QuantizedSimpleRNN,
)
from quantization.layers.slicing import Slice

__all__ = [
    "QUANTIZED_LAYERS",
    "AdaptiveActivation",
    "QuantizedLayer",
    "RangeInitializer",
    "Shiftmax",
    "Slice",
]

#: Class of a Keras layer -> its quantized twin.
QUANTIZED_LAYERS: Final[Mapping[str, type[Any]]] = {
    "Activation": QuantizedActivation,
    "Add": QuantizedAdd,
    "Average": QuantizedAverage,
    "AveragePooling1D": QuantizedAveragePooling1D,
    "AveragePooling2D": QuantizedAveragePooling2D,
    "AveragePooling3D": QuantizedAveragePooling3D,
    "BatchNormalization": QuantizedBatchNormalization,
    "Bidirectional": QuantizedBidirectional,
    "Concatenate": QuantizedConcatenate,
    "Conv1D": QuantizedConv1D,
    "Conv1DTranspose": QuantizedConv1DTranspose,
    "Conv2D": QuantizedConv2D,
    "Conv2DTranspose": QuantizedConv2DTranspose,
    "Dense": QuantizedDense,
    "DepthwiseConv1D": QuantizedDepthwiseConv1D,
    "DepthwiseConv2D": QuantizedDepthwiseConv2D,
    "Dot": QuantizedDot,
    "ELU": QuantizedELU,
    "Embedding": QuantizedEmbedding,
    "GRU": QuantizedGRU,
    "GlobalAveragePooling1D": QuantizedGlobalAveragePooling1D,
    "GlobalAveragePooling2D": QuantizedGlobalAveragePooling2D,
    "InputLayer": QuantizedInput,
    "GlobalAveragePooling3D": QuantizedGlobalAveragePooling3D,
    "GlobalMaxPooling1D": QuantizedGlobalMaxPooling1D,
    "GlobalMaxPooling2D": QuantizedGlobalMaxPooling2D,
    "GlobalMaxPooling3D": QuantizedGlobalMaxPooling3D,
    "GroupNormalization": QuantizedGroupNormalization,
    "LSTM": QuantizedLSTM,
    "LayerNormalization": QuantizedLayerNormalization,
    "LeakyReLU": QuantizedLeakyReLU,
    "MaxPooling1D": QuantizedMaxPooling1D,
    "MaxPooling2D": QuantizedMaxPooling2D,
    "MaxPooling3D": QuantizedMaxPooling3D,
    "Maximum": QuantizedMaximum,
    "Minimum": QuantizedMinimum,
    "MultiHeadAttention": QuantizedMultiHeadAttention,
    "Multiply": QuantizedMultiply,
    "PReLU": QuantizedPReLU,
    "RMSNormalization": QuantizedRMSNormalization,
    "ReLU": QuantizedReLU,
    "Rescaling": QuantizedRescaling,
    "Resizing": QuantizedResizing,
    "SeparableConv1D": QuantizedSeparableConv1D,
    "SeparableConv2D": QuantizedSeparableConv2D,
    "Shiftmax": QuantizedShiftmax,
    "SimpleRNN": QuantizedSimpleRNN,
    "Softmax": QuantizedSoftmax,
    "Subtract": QuantizedSubtract,
    "UnitNormalization": QuantizedUnitNormalization,
    "UpSampling1D": QuantizedUpSampling1D,
    "UpSampling2D": QuantizedUpSampling2D,
    "UpSampling3D": QuantizedUpSampling3D,
    **FOLDED_LAYERS,
}
