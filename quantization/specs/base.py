"""Base of the specifications, and the types of their options. Plain: no Keras, no numpy.

Numbers keep the form in which they were written: 2 stays 2 and 2.0 stays 2.0, in texts and in JSON.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WrapValidator,
    model_validator,
)

from costmodel.data_type import DataType
from quantization.specs.expression import Value, format_value

#: Fields that say whose rules hold; written by name only, and last.
RULES: Final = ("last_axis", "reference_exponents", "compat")


def _flag(value: object) -> object:
    """QKeras writes booleans as 0 and 1."""
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else value


def _as_written(value: object, checked: Callable[[object], float]) -> int | float:
    """A checked number; a whole one stays whole."""
    number = checked(value)
    return value if type(value) is int else number


def _power_of_two_or_zero(value: float) -> float:
    if value and math.frexp(value)[0] != 0.5:
        raise ValueError("must be 0 or a power of two such as 0.25, so that hardware can shift")
    return value


_AS_WRITTEN: Final = (
    WrapValidator(_as_written),
    PlainSerializer(lambda number: number, return_type=int | float),
)
Flag = Annotated[bool, Field(strict=True), BeforeValidator(_flag)]
Bits = Annotated[int, Field(strict=True, ge=1, le=32)]
Integer = Annotated[int, Field(strict=True, ge=-64, le=64)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False), *_AS_WRITTEN]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False), *_AS_WRITTEN]
NotNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False), *_AS_WRITTEN]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1), *_AS_WRITTEN]
Slope = Annotated[float, Field(strict=True, ge=0, le=1), AfterValidator(_power_of_two_or_zero), *_AS_WRITTEN]
Count = Annotated[int, Field(strict=True, ge=1, le=100)]
Exponent = Annotated[int, Field(strict=True, ge=-126, le=127)]
Index = Annotated[int, Field(strict=True, ge=-8, le=7)]
#: Numbers of which there is one for each channel.
Positives = Annotated[tuple[Positive, ...], Field(min_length=1)]
NotNegatives = Annotated[tuple[NotNegative, ...], Field(min_length=1)]
Indexes = Annotated[tuple[Index, ...], Field(min_length=1)]
Counts = Annotated[tuple[Count, ...], Field(min_length=1)]
Alpha = Literal["auto", "auto_po2"] | Positive | Positives | None
Log2Rounding = Literal["rnd", "floor"]


class QuantizerBase(BaseModel):
    """Base of all kinds: a name, widths, a data type for the cost model, an expression."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Number of leading arguments that `str` always writes, by position.
    shown: ClassVar[int] = 0
    #: Rules that version 0.1 did not know.
    NEW_RULES: ClassVar[tuple[str, ...]] = ()

    kind: str
    compat: Flag = Field(default=False, description="reproduce the faults of the reference library")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, values: Any) -> Any:
        """Arrays become lists; a whole document of version 0.1 keeps its meaning."""
        if not isinstance(values, Mapping):
            return values
        read = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values.items()}
        if cls.NEW_RULES and cls.model_fields.keys() - read.keys() == set(cls.NEW_RULES):
            read |= {rule: cls._changes(read, rule) for rule in cls.NEW_RULES}
        return read

    @classmethod
    def _changes(cls, document: Mapping[str, Any], rule: str) -> bool:
        """Whether the quantizer of a document is another one by a rule of version 0.1."""
        return True

    def as_earlier(self) -> Self:
        """The quantizer that version 0.1 read from the same expression."""
        values = self.model_dump()
        changed = {rule: True for rule in self.NEW_RULES if self._changes(values, rule)}
        return self.model_validate(values | changed) if changed else self

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        """Names of the arguments, in the order in which they may be written without a name."""
        fields = cls.model_fields
        options = (name for name in fields if name != "kind" and name not in RULES)
        return (*options, *(name for name in RULES if name in fields))

    @classmethod
    def positional_names(cls) -> tuple[str, ...]:
        """The arguments that may be written without a name: up to `qnoise_factor`.

        After it QKeras has the name of a variable, which has no meaning here.
        """
        names = tuple(name for name in cls.argument_names() if name not in RULES)
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

    @property
    def positional(self) -> int:
        """Number of leading arguments that `str` writes by position."""
        return self.shown

    @property
    def label(self) -> str:
        """The expression without the rules that version 0.1 did not know: what a choice of a search is called."""
        return self._expression(frozenset(self.NEW_RULES))

    def __str__(self) -> str:
        return self._expression()

    def _expression(self, left_out: frozenset[str] = frozenset()) -> str:
        names = self.argument_names()
        written = [_written(getattr(self, name)) for name in names[: self.positional]]
        for name in names[self.positional :]:
            value = getattr(self, name)
            if value != type(self).model_fields[name].default and name not in left_out:
                written.append(f"{name}={_written(value)}")
        return f"{self.kind}({','.join(written)})"


class Scaled(QuantizerBase):
    """Base of the kinds that may have a scale for each channel."""

    NEW_RULES: ClassVar[tuple[str, ...]] = ("last_axis",)

    last_axis: Flag = Field(
        default=False,
        description="one scale for each element of a tensor's last axis, as in QKeras, also where a layer has its "
        "channels on another axis",
    )

    @classmethod
    def _changes(cls, document: Mapping[str, Any], rule: str) -> bool:
        return not isinstance(document.get("alpha", document.get("scale_factors")), int | float)


def _written(value: Value) -> str:
    return str(int(value)) if isinstance(value, bool) else format_value(value)
