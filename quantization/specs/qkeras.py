"""The kinds of QKeras-style quantizers, one frozen class each. Plain: no Keras, no numpy.

Names and order of fields are those of QKeras, so that existing expressions mean the same here.
Conventions: `bits` counts the sign, `integer` does not; a fixed-point number has `bits - signed - integer`
fraction bits. `compat=True` reproduces the faults of the reference library, which docs/quantizers.md lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from costmodel.data_type import DataType, NumberFormat
from quantization.specs.base import (
    Alpha,
    Bits,
    Count,
    Counts,
    Exponent,
    Flag,
    Fraction,
    Index,
    Indexes,
    Integer,
    Positive,
    Positives,
    QuantizerBase,
    Scaled,
    Slope,
)

#: Options of a scale that is found from the data.
_GROUPING: Final = ("scale_axis", "elements_per_scale", "min_po2_exponent", "max_po2_exponent")


class _FixedPoint(QuantizerBase):
    """Type of the kinds that are plain fixed point."""

    def data_type(self) -> DataType:
        integer = getattr(self, "integer", 0)
        return DataType(NumberFormat.FIXED, self._width, integer, getattr(self, "keep_negative", True))

    @property
    def _width(self) -> int:
        return int(getattr(self, "bits"))  # noqa: B009  (a field of every subclass)


def _check_scale(alpha: object, options: Mapping[str, Any]) -> None:
    """Options that only make sense where the scale is found from the data, and with each other."""
    if not isinstance(alpha, str):
        present = [name for name, value in options.items() if value is not None]
        if present:
            raise ValueError(f"{', '.join(present)} needs alpha='auto' or 'auto_po2', not {alpha!r}")
        return
    _check_groups(alpha, options.get("scale_axis"), options.get("elements_per_scale"))
    low, high = options.get("min_po2_exponent"), options.get("max_po2_exponent")
    if low is not None and high is not None and low > high:
        raise ValueError(f"min_po2_exponent={low} is above max_po2_exponent={high}")


def _check_groups(alpha: str, axes: object, sizes: object) -> None:
    if sizes is None:
        return
    if alpha != "auto_po2":
        raise ValueError("elements_per_scale needs alpha='auto_po2'")
    if axes is None:
        raise ValueError("elements_per_scale needs scale_axis")
    if isinstance(sizes, tuple) and (not isinstance(axes, tuple) or len(axes) != len(sizes)):
        raise ValueError("a list of elements_per_scale needs a list of as many axes as scale_axis")


class QuantizedBits(_FixedPoint, Scaled):
    """Fixed point of `bits` bits, `integer` of them left of the binary point and the sign not counted."""

    shown = 3

    kind: Literal["quantized_bits"] = "quantized_bits"
    bits: Bits = 8
    integer: Integer = 0
    symmetric: Flag = False
    keep_negative: Flag = True
    alpha: Alpha = None
    use_stochastic_rounding: Flag = False
    scale_axis: Index | Indexes | None = None
    qnoise_factor: Fraction = 1.0
    use_ste: Flag = True
    elements_per_scale: Count | Counts | None = None
    min_po2_exponent: Exponent | None = None
    max_po2_exponent: Exponent | None = None
    post_training_scale: Positive | Positives | None = None

    @model_validator(mode="before")
    @classmethod
    def _automatic_is_symmetric(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and isinstance(values.get("alpha"), str):
            return {**values, "symmetric": True}
        return values

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = (
            "scale_axis",
            "elements_per_scale",
            "min_po2_exponent",
            "max_po2_exponent",
            "post_training_scale",
        )
        _check_scale(self.alpha, {name: getattr(self, name) for name in names})
        return self


class QuantizedLinear(_FixedPoint, Scaled):
    """Fixed point of step 2^(integer - bits + sign) times alpha; the gradient is 0 outside the range."""

    shown = 3

    kind: Literal["quantized_linear"] = "quantized_linear"
    bits: Bits = 8
    integer: Integer = 0
    symmetric: Flag = True
    keep_negative: Flag = True
    alpha: Alpha = None
    use_stochastic_rounding: Flag = False
    scale_axis: Index | Indexes | None = None
    qnoise_factor: Fraction = 1.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_scale(self.alpha, {"scale_axis": self.scale_axis})
        return self


class QuantizedRelu(QuantizerBase):
    """ReLU onto an unsigned fixed-point grid; signed where a negative slope makes it leaky."""

    shown = 2

    kind: Literal["quantized_relu"] = "quantized_relu"
    bits: Bits = 8
    integer: Integer = 0
    use_sigmoid: Flag = False
    negative_slope: Slope = 0.0
    use_stochastic_rounding: Flag = False
    relu_upper_bound: Positive | None = None
    is_quantized_clip: Flag = True
    qnoise_factor: Fraction = 1.0
    use_ste: Flag = True

    def data_type(self) -> DataType:
        signed = self.negative_slope != 0
        one = self.bits == 1 and self.integer == 1
        if one and not signed:
            return DataType(NumberFormat.BINARY_01, 1, 1, False, relu=True)
        return DataType(NumberFormat.FIXED, self.bits, self.integer, signed, relu=one)


class QuantizedUlaw(_FixedPoint):
    """u-law compression, then fixed point."""

    shown = 2

    kind: Literal["quantized_ulaw"] = "quantized_ulaw"
    bits: Bits = 8
    integer: Integer = 0
    symmetric: Flag = False
    u: Positive = 255.0


class QuantizedTanh(_FixedPoint):
    """tanh (by default the hard one, a clip) onto a signed grid of step 2^(1 - bits)."""

    shown = 1

    kind: Literal["quantized_tanh"] = "quantized_tanh"
    bits: Bits = 8
    use_stochastic_rounding: Flag = False
    symmetric: Flag = False
    use_real_tanh: Flag = False


class QuantizedSigmoid(QuantizerBase):
    """Sigmoid (by default the hard one, a clip of x/2 + 1/2) onto an unsigned grid of step 2^-bits."""

    shown = 1

    kind: Literal["quantized_sigmoid"] = "quantized_sigmoid"
    bits: Bits = 8
    symmetric: Flag = False
    use_real_sigmoid: Flag = False
    use_stochastic_rounding: Flag = False

    def data_type(self) -> DataType:
        return DataType(NumberFormat.FIXED, self.bits, 0, False)


class QuantizedHswish(QuantizedBits):
    """x * min(max(x + relu_shift, 0), relu_upper_bound) / relu_upper_bound, then fixed point."""

    kind: Literal["quantized_hswish"] = "quantized_hswish"  # type: ignore[assignment]
    relu_shift: Count = 3
    relu_upper_bound: Count = 6


class _OneBit(Scaled):
    """Widths of the kinds with two levels."""

    @property
    def bits(self) -> int:
        """Always 1."""
        return 1

    def data_type(self) -> DataType:
        return DataType(NumberFormat.BINARY, 1, 1, True)


class Binary(_OneBit):
    """-1 and +1 (0 and 1 with `use_01`), times the scale."""

    kind: Literal["binary"] = "binary"
    use_01: Flag = False
    alpha: Alpha = None
    use_stochastic_rounding: Flag = False
    scale_axis: Index | Indexes | None = None
    elements_per_scale: Count | Counts | None = None
    min_po2_exponent: Exponent | None = None
    max_po2_exponent: Exponent | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_scale(self.alpha, {name: getattr(self, name) for name in _GROUPING})
        return self

    def data_type(self) -> DataType:
        return DataType(NumberFormat.BINARY_01, 1, 1, False) if self.use_01 else super().data_type()


class StochasticBinary(_OneBit):
    """-1 or +1, drawn by sigmoid(temperature * x / std) while training; `binary` at inference."""

    kind: Literal["stochastic_binary"] = "stochastic_binary"
    alpha: Alpha = None
    temperature: Positive = 6.0
    use_real_sigmoid: Flag = True

    def data_type(self) -> DataType:
        return replace(super().data_type(), stochastic=True)


class Bernoulli(_OneBit):
    """0 or 1, drawn by sigmoid(temperature * x / std) while training; the likelier at inference."""

    kind: Literal["bernoulli"] = "bernoulli"
    alpha: Alpha = None
    temperature: Positive = 6.0
    use_real_sigmoid: Flag = True

    def data_type(self) -> DataType:
        return DataType(NumberFormat.BINARY_01, 1, 1, False, stochastic=True)


class _TwoBit(Scaled):
    """Widths of the kinds with three levels."""

    @property
    def bits(self) -> int:
        """Always 2."""
        return 2

    def data_type(self) -> DataType:
        return DataType(NumberFormat.TERNARY, 2, 2, True)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if isinstance(getattr(self, "alpha"), str) and getattr(self, "threshold") is not None:  # noqa: B009
            raise ValueError(
                "threshold is found from the data with alpha='auto' or 'auto_po2': give one of the two"
            )
        return self


class Ternary(_TwoBit):
    """-1, 0 and +1, times the scale; zero below the threshold."""

    kind: Literal["ternary"] = "ternary"
    alpha: Alpha = None
    threshold: Positive | None = None
    use_stochastic_rounding: Flag = False
    number_of_unrolls: Count = 5


class StochasticTernary(_TwoBit):
    """-1, 0 or +1, drawn while training; `ternary` at inference."""

    kind: Literal["stochastic_ternary"] = "stochastic_ternary"
    alpha: Alpha = None
    threshold: Annotated[Positive, Field(lt=1)] | None = None
    temperature: Positive = 8.0
    use_real_sigmoid: Flag = True
    number_of_unrolls: Count = 5

    def data_type(self) -> DataType:
        return replace(super().data_type(), stochastic=True)
