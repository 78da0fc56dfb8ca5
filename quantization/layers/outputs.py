"""Layers without weights: poolings and merges whose output is quantized, the shiftmax, an adaptive activation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Final

import keras
from keras import ops

from quantization.integer.shiftmax import shiftmax
from quantization.layers.base import PACKAGE, QuantizedLayer, QuantizerState
from quantization.quantizers.rounding import power_of_two

_OUTPUT: Final = {"activation": ""}
_AVERAGE: Final = {"average": "", "activation": ""}


class OutputQuantized(QuantizedLayer):
    """Mixed into a layer without weights: the slot `activation` quantizes its output."""

    SLOTS: ClassVar[Mapping[str, str]] = _OUTPUT

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The layer's output, quantized."""
        return self.quantize_slot("activation", self.plain_call(inputs), training)

    def _quantized_values(self, training: bool) -> dict[str, Any]:
        return {}


class AverageQuantized(OutputQuantized):
    """Mixed into an average pooling: the slot `average` quantizes the factor 1 / number of averaged elements."""

    SLOTS: ClassVar[Mapping[str, str]] = _AVERAGE

    def plain_call(self, inputs: Any) -> Any:
        """The average by the quantized factor, in place of the exact one."""
        return self.by_quantized_factor(super().plain_call(inputs), inputs)

    def by_quantized_factor(self, average: Any, inputs: Any) -> Any:
        """An exact average of `inputs`, scaled as if by the quantized factor."""
        if self.quantizer("average") is None:
            return average
        count = float(self.averaged(inputs))
        factor = ops.cast(
            self.quantize_slot("average", ops.convert_to_tensor(1.0 / count, "float32"), False), average.dtype
        )
        return average * (factor * count)

    def averaged(self, inputs: Any) -> int:
        """How many elements of the input make one of the output."""
        sizes = getattr(self, "pool_size", None)
        if sizes is not None:
            return math.prod(sizes)
        first = getattr(self, "data_format", None) == "channels_first"
        shape = inputs.shape[2:] if first else inputs.shape[1:-1]
        if any(size is None for size in shape):
            raise ValueError(
                f"{self._label}: a quantized average needs an input whose lengths are known, not {shape}"
            )
        return math.prod(shape)


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedAveragePooling1D(AverageQuantized, keras.layers.AveragePooling1D):
    """`AveragePooling1D` with quantized factor and output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedAveragePooling2D(AverageQuantized, keras.layers.AveragePooling2D):
    """`AveragePooling2D` with quantized factor and output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedGlobalAveragePooling1D(AverageQuantized, keras.layers.GlobalAveragePooling1D):
    """`GlobalAveragePooling1D` with quantized factor and output; a mask excludes time steps."""

    def call(self, inputs: Any, mask: Any = None, training: bool | None = None) -> Any:  # type: ignore[override]
        """The average over the time steps that count, quantized."""
        average = keras.layers.GlobalAveragePooling1D.call(self, inputs, mask=mask)
        return self.quantize_slot("activation", self.by_quantized_factor(average, inputs), training)


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedGlobalAveragePooling2D(AverageQuantized, keras.layers.GlobalAveragePooling2D):
    """`GlobalAveragePooling2D` with quantized factor and output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedAdd(OutputQuantized, keras.layers.Add):
    """`Add` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedSubtract(OutputQuantized, keras.layers.Subtract):
    """`Subtract` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedMultiply(OutputQuantized, keras.layers.Multiply):
    """`Multiply` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedAverage(OutputQuantized, keras.layers.Average):
    """`Average` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedMaximum(OutputQuantized, keras.layers.Maximum):
    """`Maximum` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedMinimum(OutputQuantized, keras.layers.Minimum):
    """`Minimum` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedConcatenate(OutputQuantized, keras.layers.Concatenate):
    """`Concatenate` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedDot(OutputQuantized, keras.layers.Dot):
    """`Dot` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedRescaling(OutputQuantized, keras.layers.Rescaling):
    """`Rescaling` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedResizing(OutputQuantized, keras.layers.Resizing):
    """`Resizing` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class Shiftmax(keras.layers.Layer):
    """Softmax by shifts: 2^floor(x) over the power of two nearest to the sum, along `axis`."""

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def call(self, inputs: Any) -> Any:
        """Numbers that sum to between 0.71 and 1.42 along the axis."""
        return shiftmax(inputs, self.axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The axis, and what every layer has."""
        return dict(super().get_config()) | {"axis": self.axis}


@keras.saving.register_keras_serializable(package=PACKAGE)
class QuantizedShiftmax(OutputQuantized, Shiftmax):
    """`Shiftmax` with a quantized output."""


@keras.saving.register_keras_serializable(package=PACKAGE)
class AdaptiveActivation(keras.layers.Layer):
    """An activation on a fixed-point grid whose range follows the data.

    While training, exponential moving averages of the smallest and largest activation set the number of integer
    bits: the fewest whose range holds them. `delay` steps pass unquantized; after `freeze` steps (None: never)
    the range stays. `bits` counts the sign, which exists unless the function is "relu", "relu6" or "sigmoid".
    """

    UNSIGNED: ClassVar[frozenset[str]] = frozenset({"relu", "relu6", "sigmoid", "hard_sigmoid", "softplus"})

    def __init__(
        self,
        activation: str = "relu",
        bits: int = 8,
        momentum: float = 0.9999,
        delay: int = 0,
        freeze: int | None = None,
        symmetric: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 1 <= bits <= 32 or not 0 <= momentum < 1 or delay < 0:
            raise ValueError(f"layer {self.name!r}: needs 1 <= bits <= 32, 0 <= momentum < 1 and delay >= 0")
        self.activation = activation
        self.function = keras.activations.get(activation)
        self.bits, self.momentum, self.delay, self.freeze = bits, momentum, delay, freeze
        self.symmetric = symmetric
        self.signed = activation not in self.UNSIGNED

    def build(self, input_shape: Any) -> None:
        """Create the averages and the count of steps."""
        self.state = QuantizerState(name="range")
        for name in ("low", "high"):
            setattr(
                self.state,
                name,
                self.state.add_weight(name=name, shape=(), initializer="zeros", trainable=False),
            )
        self.state.steps = self.state.add_weight(
            name="steps", shape=(), dtype="int32", initializer="zeros", trainable=False
        )
        self.state.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The function's value on the grid of the range so far."""
        x = ops.cast(self.function(inputs), "float32")
        if training:
            self._follow(ops.stop_gradient(x))
        step = power_of_two(ops.cast(self.integer_bits(), "float32") - (self.bits - self.signed))
        high = 2.0 ** (self.bits - self.signed) - 1.0
        low = (self.symmetric - high - 1.0) if self.signed else 0.0
        codes = ops.clip(ops.round(ops.stop_gradient(x) / step), low, high)
        clipped = ops.clip(x, low * step, high * step)
        value = clipped + ops.stop_gradient(codes * step - clipped)
        waiting = ops.convert_to_tensor(self.state.steps) <= self.delay
        return ops.cast(ops.where(waiting, x, value) if self.delay else value, self.compute_dtype)

    def integer_bits(self) -> Any:
        """Bits left of the binary point, the sign not counted, that hold the averages."""
        high = ops.maximum(ops.convert_to_tensor(self.state.high), keras.config.epsilon())
        reach = ops.maximum(high, -ops.convert_to_tensor(self.state.low)) if self.signed else high
        return ops.ceil(ops.log(reach) / math.log(2.0) - 1e-6)

    def _follow(self, x: Any) -> None:
        steps = ops.convert_to_tensor(self.state.steps)
        moving = True if self.freeze is None else steps < self.freeze
        momentum = ops.where(steps > 0, self.momentum, 0.0)  # the first batch is the first average
        for variable, seen in ((self.state.low, ops.min(x)), (self.state.high, ops.max(x))):
            old = ops.convert_to_tensor(variable)
            new = old * momentum + seen * (1.0 - momentum)
            variable.assign(new if moving is True else ops.where(moving, new, old))
        self.state.steps.assign(steps + 1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Every argument."""
        names = ("activation", "bits", "momentum", "delay", "freeze", "symmetric")
        return dict(super().get_config()) | {name: getattr(self, name) for name in names}
