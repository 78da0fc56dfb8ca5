"""Fixed point with a width for each output channel of a weight. Plain: no Keras, no numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from costmodel.data_type import DataType, NumberFormat
from quantization.specs.base import Flag, Integer, QuantizerBase

ChannelBits = Annotated[int, Field(strict=True, ge=0, le=32)]

#: The kind whose expression with lists is read as one of widths for each channel.
SCALAR_KIND: Final = "quantized_bits"
PER_CHANNEL_KIND: Final = "quantized_bits_per_channel"

#: Options of `quantized_bits` that a width for each channel has too, and values of others that change nothing.
_SHARED: Final = ("symmetric", "keep_negative", "compat")
_WITHOUT_EFFECT: Final[Mapping[str, tuple[object, ...]]] = {
    "alpha": (None, 1.0),
    "use_stochastic_rounding": (False, 0),
    "qnoise_factor": (1.0,),
    "use_ste": (True, 1),
    "last_axis": (False, 0),
}


class QuantizedBitsPerChannel(QuantizerBase):
    """As `quantized_bits` without a scale, with bits and integer bits for each output channel of a weight.

    A channel of 0 bits is all zeros. A list of one number holds for all channels. `bits` is the widest channel's.
    """

    shown = 2

    kind: Literal["quantized_bits_per_channel"] = "quantized_bits_per_channel"
    channel_bits: Annotated[tuple[ChannelBits, ...], Field(min_length=1)] = (8,)
    channel_integers: Annotated[tuple[Integer, ...], Field(min_length=1)] = (0,)
    symmetric: Flag = False
    keep_negative: Flag = True

    @model_validator(mode="before")
    @classmethod
    def _spread(cls, values: Any) -> Any:
        """One number, or a list of one, holds for as many channels as the other list has."""
        if not isinstance(values, Mapping):
            return values
        names = ("channel_bits", "channel_integers")
        lists = {name: _listed(values[name]) for name in names if name in values}
        length = max((len(entries) for entries in lists.values()), default=1)
        if length > 1 and len(lists) < len(names):
            lists = {"channel_bits": (8,), "channel_integers": (0,)} | lists
        spread = {
            name: tuple(entries) * (length if len(entries) == 1 else 1) for name, entries in lists.items()
        }
        return {**values, **spread}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(self.channel_bits) != len(self.channel_integers):
            raise ValueError(
                f"{len(self.channel_bits)} bits and {len(self.channel_integers)} integer bits: write one of each for "
                "every channel, or one number for all"
            )
        if self.keep_negative and 1 in self.channel_bits:
            index = self.channel_bits.index(1)
            raise ValueError(
                f"channel {index} has 1 bit, which is a sign alone: write 0 for zeros, or at least 2"
            )
        return self

    @property
    def bits(self) -> int:
        """Width of the widest channel, the sign counted."""
        return max(self.channel_bits)

    @property
    def channels(self) -> int:
        """How many channels have widths of their own; 1: all have the same."""
        return len(self.channel_bits)

    def fraction_bits(self) -> tuple[int, ...]:
        """Bits right of the binary point, for each channel."""
        pairs = zip(self.channel_bits, self.channel_integers, strict=True)
        return tuple(bits - self.keep_negative - integer for bits, integer in pairs)

    def code_range(self, bits: int) -> tuple[int, int]:
        """Smallest and largest code of a channel of these bits."""
        if not bits:
            return 0, 0
        half = 1 << (bits - self.keep_negative)
        low = (1 - half if self.symmetric else -half) if self.keep_negative else 0
        return low, half - 1

    def data_type(self) -> DataType:
        """The narrowest type that holds every channel, with the bits of each where they differ."""
        pairs = set(zip(self.channel_bits, self.channel_integers, strict=True))
        used = {pair for pair in pairs if pair[0]} or {(1, 0)}
        integer = max(integer for _, integer in used)
        fraction = max(bits - self.keep_negative - integer for bits, integer in used)
        bits = max(integer + fraction + self.keep_negative, 1)
        own = () if len(pairs) == 1 and used == pairs else self.channel_bits
        return DataType(NumberFormat.FIXED, bits, integer, self.keep_negative, channel_bits=own)


def _listed(value: Any) -> Sequence[Any]:
    """A list as it is; anything else as a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


def as_per_channel(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Arguments of `quantized_bits` with a list of bits or integer bits, as those of the kind that they mean.

    Others are returned as they are. ValueError for an argument that needs one width for the whole tensor.
    """
    lists = [name for name in ("bits", "integer") if isinstance(values.get(name), list | tuple)]
    if values.get("kind") != SCALAR_KIND or not lists:
        return values
    names = {"bits": "channel_bits", "integer": "channel_integers"}
    read: dict[str, Any] = {"kind": PER_CHANNEL_KIND, "channel_bits": 8, "channel_integers": 0}
    for name, value in values.items():
        if name in names:
            read[names[name]] = value
        elif name in _SHARED:
            read[name] = value
        elif name != "kind" and value not in _WITHOUT_EFFECT.get(name, (None,)):
            raise ValueError(
                f"{name}={value!r} needs one width for all channels: with a list of {' and '.join(lists)} leave it "
                "out (the integer bits of each channel place its point)"
            )
    return read
