"""The base class of all specifications: immutable, and strict about unknown fields. Plain; nothing loads Keras."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator


class Frozen(BaseModel):
    """An immutable value. Refuses unknown fields, NaN and infinity, and booleans where numbers are expected."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_booleans_as_numbers(cls, document: Any) -> Any:
        # A validator of the model: Pydantic allows no such validator on the fields that discriminate unions.
        for name, value in document.items() if isinstance(document, Mapping) else ():
            if name in cls.model_fields and _has_misplaced_boolean(value, _accepted_types(cls, name)):
                raise ValueError(f"{name}: expected a number, got a boolean")
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
