"""Normalizations of single examples, with quantized scale, shift and output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import keras

from costmodel.layer_classes import LAYER_CLASSES
from quantization.layers.base import PACKAGE, QuantizedLayer
from quantization.layers.outputs import OutputQuantized

_SCALED: Final = {"gamma": "gamma", "beta": "beta", "activation": ""}


class NormalizationQuantized(QuantizedLayer):
    """Mixed into a normalization with scale and shift: they are quantized, and so is what it gives."""

    SLOTS: ClassVar[Mapping[str, str]] = _SCALED

    @classmethod
    def configured(cls, slot: str, config: Mapping[str, Any]) -> bool:
        """Gamma exists with `scale`, beta with `center`, as the table of layers says."""
        slots = LAYER_CLASSES[cls.plain_class()].slots
        return any(entry.name == slot and entry.exists(config) for entry in slots)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The normalized numbers, quantized."""
        return self.quantize_slot("activation", super().call(inputs, training), training)


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedLayerNormalization(NormalizationQuantized, keras.layers.LayerNormalization):
    """`LayerNormalization` with quantized gamma, beta and output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedGroupNormalization(NormalizationQuantized, keras.layers.GroupNormalization):
    """`GroupNormalization` with quantized gamma, beta and output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedRMSNormalization(NormalizationQuantized, keras.layers.RMSNormalization):
    """`RMSNormalization` with quantized scale and output."""

    SLOTS: ClassVar[Mapping[str, str]] = {"gamma": "scale", "activation": ""}


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedUnitNormalization(OutputQuantized, keras.layers.UnitNormalization):
    """`UnitNormalization` with a quantized output."""
