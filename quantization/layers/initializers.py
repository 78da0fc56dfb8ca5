"""Initial weights that fit the range of a quantizer."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from quantization.layers.base import PACKAGE
from quantization.quantizers import build_quantizer
from quantization.specs.parse import as_spec


@keras.saving.register_keras_serializable(package=PACKAGE)
class RangeInitializer(keras.initializers.Initializer):
    """Another initializer's weights, scaled so that the largest magnitude is the quantizer's largest level.

    Without it, narrow grids send every small weight to one level: quantized_bits(2,1,1,alpha=1.0) has the levels
    -1, 0 and 1, and He-normal kernels lie below 1/2. Quantizers that find their scale in the data need none and
    leave the weights as they are.
    """

    def __init__(self, initializer: Any, quantizer: Any) -> None:
        self.initializer = keras.initializers.get(initializer)
        self.quantizer = as_spec(quantizer)

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """The weights."""
        weights = self.initializer(shape, dtype)
        if isinstance(getattr(self.quantizer, "alpha", None), str):
            return weights
        top = build_quantizer(self.quantizer).range()[1]
        largest = ops.max(ops.abs(weights))
        return weights * ops.where(largest > 0, ops.cast(top, weights.dtype) / largest, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Both parts as JSON objects."""
        return {
            "initializer": keras.initializers.serialize(self.initializer),
            "quantizer": self.quantizer.model_dump(mode="json"),
        }
