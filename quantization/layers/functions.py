"""Layers that are an activation function: ReLU, LeakyReLU, ELU, PReLU, Softmax, with a quantized function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import keras

from quantization.layers.base import PACKAGE, QuantizedLayer, quantized_function
from quantization.layers.outputs import OutputQuantized


@dataclass(frozen=True, slots=True)
class LayerFunction:
    """The function of an activation layer, equal to that of another layer with the same arguments."""

    function: Callable[..., Any]
    arguments: tuple[tuple[str, float | None], ...] = ()

    def __call__(self, x: Any) -> Any:
        """The value at x."""
        return self.function(x, **dict(self.arguments))


class FunctionQuantized(OutputQuantized):
    """Mixed into a layer that is a function of every number: a grid is applied to the function's values, a quantizer
    that is a function itself takes its place.
    """

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The quantized function."""
        quantizer = self.quantizer("activation")
        if quantizer is None:
            return self.plain_call(inputs)
        return quantized_function(self.plain_call, quantizer, bool(training))(inputs)


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedReLU(FunctionQuantized, keras.layers.ReLU):
    """`ReLU` with a quantized function."""

    def slot_function(self, slot: str) -> Any:
        """The rectifier with its bound, slope and threshold."""
        names = ("negative_slope", "max_value", "threshold")
        return LayerFunction(keras.activations.relu, tuple((name, getattr(self, name)) for name in names))


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedLeakyReLU(FunctionQuantized, keras.layers.LeakyReLU):
    """`LeakyReLU` with a quantized function."""

    def slot_function(self, slot: str) -> Any:
        """The rectifier with its slope."""
        return LayerFunction(keras.activations.leaky_relu, (("negative_slope", self.negative_slope),))


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedELU(FunctionQuantized, keras.layers.ELU):
    """`ELU` with a quantized function."""

    def slot_function(self, slot: str) -> Any:
        """The exponential unit with its alpha."""
        return LayerFunction(keras.activations.elu, (("alpha", self.alpha),))


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedPReLU(QuantizedLayer, keras.layers.PReLU):
    """`PReLU` with quantized slopes and output. Raises `ValueError` for a quantizer that would replace the function."""

    SLOTS: ClassVar[Mapping[str, str]] = {"alpha": "alpha", "activation": ""}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        quantizer = self.quantizer("activation")
        if quantizer is not None and quantizer.is_activation:
            raise ValueError(
                f"{self._label}: {quantizer.spec} would replace its trained slopes; give it a grid"
            )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The rectifier with quantized slopes, then the grid."""
        return self.quantize_slot("activation", super().call(inputs, training), training)


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedSoftmax(OutputQuantized, keras.layers.Softmax):
    """`Softmax` with a quantized output."""

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:  # type: ignore[override]
        """The shares of what is not masked, quantized."""
        shares = keras.layers.Softmax.call(self, inputs, mask=mask)
        return self.quantize_slot("activation", shares, training)
