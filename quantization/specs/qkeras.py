"""The kinds of QKeras-style quantizers, one frozen class each. Plain: no Keras, no numpy.

Names and order of fields are those of QKeras, so that existing expressions mean the same here.
Conventions: `bits` counts the sign, `integer` does not; a fixed-point number has `bits - signed - integer`
fraction bits. `compat=True` reproduces the faults of the reference library, which docs/quantizers.md lists.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from costmodel.data_type import DataType, NumberFormat
from quantization.specs.expression import Value, format_value

#: Fields that are written by name only.
_NAMED_ONLY: Final = frozenset({"kind", "compat"})
#: Options of a scale that is found from the data.
_GROUPING: Final = ("scale_axis", "elements_per_scale", "min_po2_exponent", "max_po2_exponent")


def _flag(value: object) -> object:
    """QKeras writes booleans as 0 and 1."""
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else value


def _power_of_two_or_zero(value: float) -> float:
    if value and math.frexp(value)[0] != 0.5:
        raise ValueError("must be 0 or a power of two such as 0.25, so that hardware can shift")
    return value


Flag = Annotated[bool, Field(strict=True), BeforeValidator(_flag)]
Bits = Annotated[int, Field(strict=True, ge=1, le=32)]
Integer = Annotated[int, Field(strict=True, ge=-64, le=64)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1)]
Slope = Annotated[float, Field(strict=True, ge=0, le=1), AfterValidator(_power_of_two_or_zero)]
Count = Annotated[int, Field(strict=True, ge=1, le=100)]
Exponent = Annotated[int, Field(strict=True, ge=-126, le=127)]
Index = Annotated[int, Field(strict=True, ge=-8, le=7)]
Alpha = Literal["auto", "auto_po2"] | Positive | tuple[Positive, ...] | None
Log2Rounding = Literal["rnd", "floor"]


class QuantizerBase(BaseModel):
    """Base of all kinds: a name, widths, a data type for the cost model, an expression."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Number of leading arguments that `str` always writes, by position.
    shown: ClassVar[int] = 0

    kind: str
    compat: Flag = Field(default=False, description="reproduce the faults of the reference library")

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        """Names of the arguments, in the order in which they may be written without a name."""
        return (*(name for name in cls.model_fields if name not in _NAMED_ONLY), "compat")

    @classmethod
    def positional_names(cls) -> tuple[str, ...]:
        """The arguments that may be written without a name: up to `qnoise_factor`.

        After it QKeras has the name of a variable, which has no meaning here.
        """
        names = cls.argument_names()[:-1]
        return names[: names.index("qnoise_factor") + 1] if "qnoise_factor" in names else names

    def data_type(self) -> DataType:
        """The data type that QTools gives the numbers of this quantizer."""
        raise NotImplementedError(self.kind)

    @property
    def integer_bits(self) -> int:
        """Bits left of the binary point, without the sign."""
        return self.data_type().int_bits

    @property
    def signed(self) -> bool:
        """Whether negative values exist."""
        return self.data_type().signed

    def __str__(self) -> str:
        names = self.argument_names()
        written = [_written(getattr(self, name)) for name in names[: self.shown]]
        for name in names[self.shown :]:
            value = getattr(self, name)
            if value != type(self).model_fields[name].default:
                written.append(f"{name}={_written(value)}")
        return f"{self.kind}({','.join(written)})"


def _written(value: Value) -> str:
    return str(int(value)) if isinstance(value, bool) else format_value(value)


class _FixedPoint(QuantizerBase):
    """Type of the kinds that are plain fixed point."""

    def data_type(self) -> DataType:
        integer = getattr(self, "integer", 0)
        return DataType(NumberFormat.FIXED, self._width, integer, getattr(self, "keep_negative", True))

    @property
    def _width(self) -> int:
        return int(getattr(self, "bits"))  # noqa: B009  (a field of every subclass)


def _check_scale(alpha: object, options: dict[str, object]) -> None:
    """Options that only make sense where the scale is found from the data."""
    if isinstance(alpha, str):
        if options.get("elements_per_scale") is not None:
            if alpha != "auto_po2":
                raise ValueError("elements_per_scale needs alpha='auto_po2'")
            if options.get("scale_axis") is None:
                raise ValueError("elements_per_scale needs scale_axis")
        return
    present = [name for name, value in options.items() if value is not None]
    if present:
        raise ValueError(f"{', '.join(present)} needs alpha='auto' or 'auto_po2', not {alpha!r}")


class QuantizedBits(_FixedPoint):
    """Fixed point of `bits` bits, `integer` of them left of the binary point and the sign not counted."""

    shown = 3

    kind: Literal["quantized_bits"] = "quantized_bits"
    bits: Bits = 8
    integer: Integer = 0
    symmetric: Flag = False
    keep_negative: Flag = True
    alpha: Alpha = None
    use_stochastic_rounding: Flag = False
    scale_axis: Index | tuple[Index, ...] | None = None
    qnoise_factor: Fraction = 1.0
    use_ste: Flag = True
    elements_per_scale: Count | tuple[Count, ...] | None = None
    min_po2_exponent: Exponent | None = None
    max_po2_exponent: Exponent | None = None
    post_training_scale: Positive | tuple[Positive, ...] | None = None

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


class QuantizedLinear(_FixedPoint):
    """Fixed point of step 2^(integer - bits + sign) times alpha; the gradient is 0 outside the range."""

    shown = 3

    kind: Literal["quantized_linear"] = "quantized_linear"
    bits: Bits = 8
    integer: Integer = 0
    symmetric: Flag = True
    keep_negative: Flag = True
    alpha: Alpha = None
    use_stochastic_rounding: Flag = False
    scale_axis: Index | tuple[Index, ...] | None = None
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
        if not signed and self.bits == 1 and self.integer == 1:
            return DataType(NumberFormat.BINARY_01, 1, 1, False)
        return DataType(NumberFormat.FIXED, self.bits, self.integer, signed)


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


class QuantizedPo2(QuantizerBase):
    """A sign and a power of two; `max_value` bounds it, and saves the exponent's sign where at most 1."""

    shown = 1

    kind: Literal["quantized_po2"] = "quantized_po2"
    bits: Annotated[Bits, Field(ge=2)] = 8
    max_value: Positive | None = None
    use_stochastic_rounding: Flag = False
    quadratic_approximation: Flag = False
    log2_rounding: Log2Rounding = "rnd"
    qnoise_factor: Fraction = 1.0
    use_ste: Flag = True

    def data_type(self) -> DataType:
        return DataType(NumberFormat.POWER_OF_TWO, self.bits, self.bits, True, self.max_value)


class QuantizedReluPo2(QuantizerBase):
    """ReLU onto zero and the powers of two, without a sign unless a negative slope makes it leaky."""

    shown = 1

    kind: Literal["quantized_relu_po2"] = "quantized_relu_po2"
    bits: Bits = 8
    max_value: Positive | None = None
    negative_slope: Slope = 0.0
    use_stochastic_rounding: Flag = False
    quadratic_approximation: Flag = False
    log2_rounding: Log2Rounding = "rnd"
    qnoise_factor: Fraction = 1.0
    use_ste: Flag = True

    def data_type(self) -> DataType:
        return DataType(
            NumberFormat.POWER_OF_TWO, self.bits, self.bits, self.negative_slope != 0, self.max_value
        )


class _OneBit(QuantizerBase):
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
    scale_axis: Index | tuple[Index, ...] | None = None
    elements_per_scale: Count | tuple[Count, ...] | None = None
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


class _TwoBit(QuantizerBase):
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
