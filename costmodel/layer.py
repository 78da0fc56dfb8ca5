"""One layer of a network as plain data, and typed reading of its untrusted configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from costmodel.errors import InvalidNetwork

#: Lengths of a tensor's axes, without the batch.
Shape: TypeAlias = tuple[int, ...]

#: Larger lengths are refused, so that products of them stay small enough to compute.
MAX_LENGTH = 2**31
#: Between the name of a layer and the number of its call, from the second on. No name has it.
REPEATED = "#"
#: Elements a tensor may have.
MAX_ELEMENTS = 2**48


@dataclass(frozen=True, slots=True)
class Config:
    """Reads one layer's configuration; every error states the layer and the field."""

    layer: str
    values: Mapping[str, Any]

    def error(self, field: str, reason: str) -> InvalidNetwork:
        """An error about one field of this layer, to be raised."""
        return InvalidNetwork(self.layer, field, reason)

    def integer(self, field: str, default: int | None = None, least: int = 1) -> int:
        """A whole number of at least `least`."""
        value = self.values.get(field, default)
        return self._integer(field, value, least)

    def integers(self, field: str, count: int, default: int | None = None, least: int = 1) -> tuple[int, ...]:
        """`count` whole numbers; one number stands for all of them."""
        value = self.values.get(field, default)
        if not _is_list(value):
            return (self._integer(field, value, least),) * count
        if len(value) != count:
            raise self.error(field, f"needs {count} numbers, has {len(value)}")
        return tuple(self._integer(field, item, least) for item in value)

    def flag(self, field: str, default: bool) -> bool:
        """True or false."""
        value = self.values.get(field, default)
        if not isinstance(value, bool):
            raise self.error(field, f"must be true or false, is {_show(value)}")
        return value

    def choice(self, field: str, default: str, allowed: Sequence[str]) -> str:
        """One of the words of `allowed`."""
        value = self.values.get(field, default)
        if not isinstance(value, str) or value not in allowed:
            raise self.error(field, f"must be one of {', '.join(allowed)}, is {_show(value)}")
        return value

    def axis(self, field: str, rank: int, default: int = -1) -> int:
        """An axis of a tensor of `rank` axes (batch not counted), counted from 0; Keras counts the batch."""
        value = self.values.get(field, default)
        if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 1:
            value = value[0]
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(field, f"must be one axis, is {_show(value)}")
        axis = value + rank if value < 0 else value - 1
        if not 0 <= axis < rank:
            raise self.error(field, f"axis {value} is not one of the {rank} axes behind the batch")
        return axis

    def axes(self, field: str, rank: int, default: int = -1) -> tuple[int, ...]:
        """One or more axes, counted as `axis` counts them."""
        value = self.values.get(field, default)
        items = value if _is_list(value) else [value]
        if not items or len(items) > rank:
            raise self.error(field, f"must name 1 to {rank} axes")
        axes = tuple(Config(self.layer, {field: item}).axis(field, rank) for item in items)
        if len(set(axes)) != len(axes):
            raise self.error(field, "names an axis twice")
        return axes

    def indices(self, field: str, rank: int) -> frozenset[int]:
        """Axes behind the batch by Keras' list index: 1 is the first, 0 the last, -1 the last but one; None is none."""
        value = self.values.get(field)
        if value is None:
            return frozenset()
        places = [
            self._integer(field, item, -MAX_LENGTH) - 1 for item in (value if _is_list(value) else [value])
        ]
        if any(not -rank <= place < rank for place in places):
            raise self.error(field, f"names an axis that is not one of the {rank} behind the batch")
        return frozenset(place % rank for place in places)

    def channels_last(self) -> None:
        """Refuse channels_first: the rules are written for channels on the last axis."""
        self.choice("data_format", "channels_last", ("channels_last",))

    def _integer(self, field: str, value: object, least: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(field, f"must be a whole number, is {_show(value)}")
        if not least <= value <= MAX_LENGTH:
            raise self.error(field, f"must lie in {least}..{MAX_LENGTH}, is {_show(value)}")
        return value


@dataclass(frozen=True)
class Layer:
    """One layer: its Keras class, configuration, whose outputs it takes, and shapes without the batch."""

    name: str
    class_name: str
    config: Mapping[str, Any] = field(hash=False)
    inbound: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape

    @property
    def tensors_of(self) -> str:
        """The layer whose tensors it has: itself, or the one that this is a further call of (`NAME#2`, `NAME#3`)."""
        return self.name.partition(REPEATED)[0]

    @property
    def is_repeated(self) -> bool:
        """Whether it is a further call of a layer."""
        return REPEATED in self.name

    @property
    def reader(self) -> Config:
        """Typed access to the configuration."""
        return Config(self.name, self.config)


def elements(shape: Shape) -> int:
    """Numbers a tensor of this shape holds; 1 for the empty shape."""
    return math.prod(shape)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _show(value: object) -> str:
    """A value of an untrusted configuration, short enough for a message."""
    text = "a huge number" if isinstance(value, int) and abs(value) > 2**64 else repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
