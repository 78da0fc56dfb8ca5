"""What the values of a job share: they are immutable and refuse fields they do not know. Plain; nothing loads Keras."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator


class Frozen(BaseModel):
    """A value: immutable, strict about fields it does not know, and true is no 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, given: Any) -> Any:
        # Of the model, not of its fields: Pydantic allows no such validator for the fields that tell kinds apart.
        for name, value in given.items() if isinstance(given, Mapping) else ():
            if name in cls.model_fields and _is_astray(value, _taken(cls, name)):
                raise ValueError(f"{name}: true and false are no numbers")
        return given


def kind_name(value: Any) -> Any:
    """A word alone stands for a kind with its defaults."""
    return {"kind": value} if isinstance(value, str) else value


def _is_astray(value: Any, taken: frozenset[type]) -> bool:
    """Whether true or false stands where only numbers may; values that look at their own fields are left to them."""
    if isinstance(value, bool):
        return bool not in taken
    if isinstance(value, Mapping) and BaseModel not in taken:
        return any(_is_astray(each, taken) for each in value.values())
    return isinstance(value, list | tuple) and any(_is_astray(each, taken) for each in value)


@cache
def _taken(owner: type[BaseModel], field: str) -> frozenset[type]:
    """Which of bool and values with fields a field, or what it holds, may be."""

    def within(annotation: Any) -> set[type]:
        if annotation is Any:
            return {bool, BaseModel}
        if isinstance(annotation, type):
            return {kind for kind in (bool, BaseModel) if issubclass(annotation, kind)}
        return {kind for part in get_args(annotation) for kind in within(part)}

    return frozenset(within(owner.model_fields[field].annotation))
