"""The fields that a place of a specification has, for messages about those that it has not. Plain."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, get_args

from pydantic import BaseModel

#: A longer list of fields is cut: its similar names come first.
_MAX_FIELDS: Final = 40


def unknown_field(model: type[BaseModel], location: Sequence[str | int]) -> str:
    """The message about a field that does not exist, at this location of pydantic's errors."""
    name = str(location[-1])
    fields = fields_at(model, location[:-1])
    if not fields:
        return "is not a field"
    similar = difflib.get_close_matches(name[:_MAX_FIELDS], fields, n=1)
    hint = f"did you mean {similar[0]!r}? " if similar else ""
    return f"is not a field; {hint}fields here: {', '.join(fields[:_MAX_FIELDS])}"


def fields_at(model: type[BaseModel], location: Iterable[str | int]) -> tuple[str, ...]:
    """The names of the fields at a location, in the order of their definition; empty where anything may stand."""
    models: list[type[BaseModel]] = [model]
    for part in location:
        inner = [
            nested
            for one in models
            if isinstance(part, str) and part in one.model_fields
            for nested in _models_in(one.model_fields[part].annotation)
        ]
        kinds = [one for one in models if part in (one.__name__, *_kinds(one))]
        models = inner or kinds or models  # an index, or the key of a mapping, leads to what is in it
    return tuple(dict.fromkeys(name for one in models for name in one.model_fields))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models of a field: itself, the members of a union, the items of a list or mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _kinds(model: type[BaseModel]) -> tuple[Any, ...]:
    """The values of a model's `kind`, which pydantic names where a union is discriminated by it."""
    field = model.model_fields.get("kind")
    return () if field is None else get_args(field.annotation)
