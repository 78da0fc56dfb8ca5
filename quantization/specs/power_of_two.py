"""The kinds of powers of two. Plain: no Keras, no numpy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from costmodel.data_type import DataType, NumberFormat
from quantization.specs.base import Bits, Flag, Fraction, Log2Rounding, Positive, QuantizerBase, Slope

#: Exponents of the normal numbers of float32.
_FLOAT32: Final = (-126, 127)


class PowerOfTwo(QuantizerBase):
    """Base of both kinds: which exponents `bits` bits can tell apart.

    A bit is the number's sign where there are negative ones, and one the exponent's sign unless `max_value` is at
    most 1. What would be one value too many, because zero or the bound itself is a value as well, leaves out the
    smallest power. `reference_exponents` (and `compat`) leave nothing out, as QKeras.
    """

    NEW_RULES: ClassVar[tuple[str, ...]] = ("reference_exponents",)
    shown = 1

    bits: Bits = 8
    max_value: Annotated[Positive, Field(lt=1e30)] | None = None
    reference_exponents: Flag = Field(
        default=False,
        description="the exponents of QKeras: with zero, a slope or a bound of at most 1 more values than the bits "
        "can tell apart",
    )

    @classmethod
    def _changes(cls, document: Mapping[str, Any], rule: str) -> bool:
        try:
            return cls(**{**document, rule: False}).exponents != cls(**{**document, rule: True}).exponents
        except ValidationError:
            return True

    @property
    def has_zero(self) -> bool:
        """Whether zero is a value."""
        raise NotImplementedError

    @property
    def sign_bits(self) -> int:
        """Bits for the number's sign."""
        raise NotImplementedError

    @property
    def reference_sign_bits(self) -> int:
        """Bits that QKeras takes for the number's sign."""
        return self.sign_bits

    @property
    def follows_reference(self) -> bool:
        """Whether the exponents are those of QKeras."""
        return self.compat or self.reference_exponents

    @property
    def unit(self) -> int:
        """Distance of two exponents."""
        return 2 if getattr(self, "quadratic_approximation") else 1  # noqa: B009  (a field of every subclass)

    @property
    def exponent_range(self) -> tuple[int, int]:
        """Smallest and largest exponent that is looked for, in units of `unit`."""
        sign_bits = self.reference_sign_bits if self.follows_reference else self.sign_bits
        width = self.bits - sign_bits - (self.max_value is None or self.max_value > 1)
        low, high = -int(2**width), int(2**width - 1)
        if self.unit == 2:
            high = 2 * (high // 2)
        if self.follows_reference:
            return low, high
        high = max(low, min(high, _FLOAT32[1] // self.unit, self._reached()))
        count = int(2 ** (self.bits - self.sign_bits)) - self.has_zero
        return max(low, high - count + 1, -(-_FLOAT32[0] // self.unit)), high

    def _reached(self) -> int:
        """Exponent of the bound, in units of `unit`."""
        if self.max_value is None:
            return _FLOAT32[1]
        exponent = math.log2(self.max_value) / self.unit
        return math.floor(exponent) if getattr(self, "log2_rounding") == "floor" else round(exponent)  # noqa: B009

    @property
    def exponents(self) -> tuple[int, int]:
        """Smallest and largest exponent of a value."""
        low, high = self.exponent_range
        return low * self.unit, max(low, min(high, self._reached())) * self.unit

    @property
    def positional(self) -> int:
        """QKeras writes a whole bound by position."""
        return 2 if type(self.max_value) is int else 1

    def data_type(self) -> DataType:
        return DataType(
            NumberFormat.POWER_OF_TWO,
            self.bits,
            self.bits,
            bool(self.sign_bits),
            self.max_value,
            exponents=self.exponents,
            relu=bool(getattr(self, "negative_slope", 0.0)),
        )


class QuantizedPo2(PowerOfTwo):
    """A sign and a power of two; `max_value` bounds it, and saves the exponent's sign where at most 1."""

    kind: Literal["quantized_po2"] = "quantized_po2"
    bits: Annotated[Bits, Field(ge=2)] = 8
    max_value: Annotated[Positive, Field(lt=1e30)] | None = None
    use_stochastic_rounding: Flag = False
    quadratic_approximation: Flag = False
    log2_rounding: Log2Rounding = "rnd"
    qnoise_factor: Fraction = 1.0
    use_ste: Flag = True

    @property
    def has_zero(self) -> bool:
        return False

    @property
    def sign_bits(self) -> int:
        return 1


class QuantizedReluPo2(PowerOfTwo):
    """ReLU onto zero and the powers of two, without a sign unless a negative slope makes it leaky."""

    kind: Literal["quantized_relu_po2"] = "quantized_relu_po2"
    bits: Bits = 8
    max_value: Annotated[Positive, Field(lt=1e30)] | None = None
    negative_slope: Slope = 0.0
    use_stochastic_rounding: Flag = False
    quadratic_approximation: Flag = False
    log2_rounding: Log2Rounding = "rnd"
    qnoise_factor: Fraction = 1.0
    use_ste: Flag = True

    @model_validator(mode="after")
    def _has_room(self) -> Self:
        if self.negative_slope and self.bits < 2 and not self.follows_reference:
            raise ValueError("a negative_slope needs at least 2 bits: one is the sign")
        return self

    @property
    def has_zero(self) -> bool:
        return not self.compat

    @property
    def sign_bits(self) -> int:
        return int(self.negative_slope != 0)

    @property
    def reference_sign_bits(self) -> int:
        return 0
