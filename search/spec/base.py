"""The base class of all specifications: immutable, and strict about unknown fields. Plain; nothing loads Keras."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any, Final, get_args

from annotated_types import MaxLen
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

#: Items of a list or object in a field that states no limit of its own.
MAX_ITEMS: Final = 500
#: Type of the error about a list or object that is too long; its context names the field.
TOO_MANY_ITEMS: Final = "too_many_items"
#: Levels of lists and objects in a field without models.
_NESTED: Final = 3
#: Items of what has an entry for each layer of a model.
MAX_LAYERS: Final = 5_000


class Frozen(BaseModel):
    """An immutable value.

    Refuses unknown fields, NaN and infinity, and booleans where numbers are expected. A list or object longer than its
    field allows (`max_length`, else `MAX_ITEMS`) is refused before its items are read: each may cost a millisecond.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_booleans_as_numbers(cls, document: Any) -> Any:
        # A validator of the model: Pydantic allows no such validator on the fields that discriminate unions.
        for name, value in document.items() if isinstance(document, Mapping) else ():
            if name in cls.model_fields and _has_misplaced_boolean(value, _accepted_types(cls, name)):
                raise ValueError(f"{name}: expected a number, got a boolean")
        return document

    @model_validator(mode="before")
    @classmethod
    def _refuse_long_collections(cls, document: Any) -> Any:
        for name, value in document.items() if isinstance(document, Mapping) else ():
            limit = _length_limit(cls, name) if name in cls.model_fields else None
            if limit is None:
                continue
            depth = 0 if BaseModel in _accepted_types(cls, name) else _NESTED
            if any(len(items) > limit for items in _collections(value, depth)):
                template = "{field}: at most {limit} items are allowed in a list or object"
                raise PydanticCustomError(TOO_MANY_ITEMS, template, {"field": name, "limit": limit})
        return document


def kind_name(value: Any) -> Any:
    """A bare string as an object of that kind with its defaults; anything else unchanged."""
    return {"kind": value} if isinstance(value, str) else value


def _has_misplaced_boolean(value: Any, accepted: frozenset[type]) -> bool:
    """Whether a boolean stands where only numbers are accepted. Nested models check their own fields."""
    if isinstance(value, bool):
        return bool not in accepted
    if isinstance(value, Mapping) and BaseModel not in accepted:
        return any(_has_misplaced_boolean(item, accepted) for item in value.values())
    return isinstance(value, list | tuple) and any(_has_misplaced_boolean(item, accepted) for item in value)


@cache
def _accepted_types(owner: type[BaseModel], field: str) -> frozenset[type]:
    """Which of `bool` and `BaseModel` a field, or an item in it, may be."""

    def within(annotation: Any) -> set[type]:
        if annotation is Any:
            return {bool, BaseModel}
        if isinstance(annotation, type):
            return {kind for kind in (bool, BaseModel) if issubclass(annotation, kind)}
        return {kind for part in get_args(annotation) for kind in within(part)}

    return frozenset(within(owner.model_fields[field].annotation))


def _collections(value: Any, depth: int) -> Iterator[Collection[Any]]:
    """A list or object and those in it; models check their own fields."""
    if not isinstance(value, list | tuple | Mapping):
        return
    yield value
    if depth:
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _collections(item, depth - 1)


@cache
def _length_limit(owner: type[BaseModel], field: str) -> int | None:
    """The most items that a list or object in a field may have; None where anything may stand."""

    def within(annotation: Any) -> Iterator[Any]:
        yield annotation
        yield from (inner for part in get_args(annotation) for inner in within(part))

    info = owner.model_fields[field]
    parts = [*info.metadata, *within(info.annotation)]
    if Any in parts:
        return None
    stated = [part.max_length for part in parts if isinstance(part, MaxLen)]
    stated += [m.max_length for part in parts for m in getattr(part, "metadata", ()) if isinstance(m, MaxLen)]
    return max([MAX_ITEMS, *stated])
