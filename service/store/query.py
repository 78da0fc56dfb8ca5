"""The query language of lists: the parameters `sort`, `filter` and `fields`, parsed into values. Plain; knows no SQL.

sort    a field, with "-" in front for descending order; rows without a value come last
filter  conditions joined by commas, all of which must be true: status:done|pruned,energy_pj<1000,metric>=0.9
fields  names joined by commas: only these are returned
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from service.errors import InvalidParameter

MAX_LENGTH: Final = 1000  #: of each of the three, in characters
_MAX_CONDITIONS: Final = 20
_MAX_NUMBER: Final = 2**63


class FieldType(StrEnum):
    """The type of a field."""

    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"
    TIME = "time"


#: The operators of each type: ":" is one of some values, "~" contains.
OPERATORS: Final[Mapping[FieldType, tuple[str, ...]]] = {
    FieldType.NUMBER: (":", "!=", "<=", ">=", "<", ">"),
    FieldType.INTEGER: (":", "!=", "<=", ">=", "<", ">"),
    FieldType.TEXT: (":", "!=", "~"),
    FieldType.TIME: ("<=", ">=", "<", ">", ":", "!="),
}
#: For messages.
_EXPECTED: Final[Mapping[FieldType, str]] = {
    FieldType.NUMBER: "a number, as in 0.9",
    FieldType.INTEGER: "an integer, as in 12",
    FieldType.TIME: "a time, as in 2026-01-31T12:00:00Z",
}
_NULL: Final = "null"
_CONDITION: Final = re.compile(r"\s*([^\s:!=<>~,]+)\s*(!=|<=|>=|:|=|<|>|~)\s*(\"[^\"]*\"|[^,\"]*)\s*(?:,|$)")

Value = str | float | int | datetime | None
Fields = Mapping[str, FieldType]


@dataclass(frozen=True, slots=True)
class Condition:
    """`field operator values`; several values only with ":", None only with ":" and "!="."""

    field: str
    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of a list."""

    field: str
    descending: bool = False

    def __str__(self) -> str:
        return f"-{self.field}" if self.descending else self.field


def parse_sort(text: str, fields: Iterable[str]) -> Sort:
    """The order that `sort` names; InvalidParameter lists the fields."""
    sort = Sort(text.removeprefix("-"), text.startswith("-"))
    _check_field("sort", sort.field, fields)
    return sort


def parse_fields(text: str | None, fields: Sequence[str]) -> tuple[str, ...]:
    """The names that `text` lists, in the order of `fields`; all of them if it is None."""
    if text is None:
        return tuple(fields)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        _check_field("fields", name, fields)
    return tuple(name for name in fields if name in names)


def parse_filter(
    text: str | None, fields: Fields, choices: Mapping[str, Sequence[str]]
) -> tuple[Condition, ...]:
    """The conditions of `filter`; InvalidParameter names the field and what it allows.

    `choices`: the values of text fields that are enumerations.
    """
    if text is None or not text.strip():
        return ()
    conditions, position = [], 0
    while position < len(text):
        match = _CONDITION.match(text, position)
        if match is None:
            rest = text[position : position + 40]
            raise InvalidParameter(
                "filter",
                f"invalid syntax at {rest!r}; expected field, operator, value, as in metric>=0.9 or status:done",
            )
        conditions.append(_condition(*match.groups(), fields=fields, choices=choices))
        position = match.end()
    if len(conditions) > _MAX_CONDITIONS:
        raise InvalidParameter(
            "filter", f"at most {_MAX_CONDITIONS} conditions are allowed, got {len(conditions)}"
        )
    return tuple(conditions)


def _condition(
    name: str, operator: str, text: str, *, fields: Fields, choices: Mapping[str, Sequence[str]]
) -> Condition:
    _check_field("filter", name, fields)
    field_type, operator = fields[name], ":" if operator == "=" else operator
    if operator not in OPERATORS[field_type]:
        allowed = " ".join(OPERATORS[field_type])
        raise InvalidParameter(
            "filter",
            f"operator {operator!r} is not supported for the {field_type} field {name}; supported: {allowed}",
        )
    if text.startswith('"'):
        texts = [text[1:-1]]
    else:
        texts = [part.strip() for part in text.split("|")] if operator == ":" else [text.strip()]
    values = tuple(_value(name, part, field_type, operator, is_quoted=text.startswith('"')) for part in texts)
    for value in values:
        if name in choices and value is not None and value not in choices[name]:
            raise InvalidParameter(
                "filter",
                f"{name} has no value {str(value)[:40]!r}; its values are {', '.join(choices[name])}",
            )
    return Condition(name, operator, values)


def _value(name: str, text: str, field_type: FieldType, operator: str, *, is_quoted: bool) -> Value:
    if text == _NULL and not is_quoted and operator in (":", "!="):
        return None
    if field_type is FieldType.TEXT:
        return text.replace("\0", "")
    try:
        if field_type is FieldType.TIME:
            return _time(text)
        return _number(text, is_integer=field_type is FieldType.INTEGER)
    except (ValueError, OverflowError):
        expected = _EXPECTED[field_type]
        raise InvalidParameter("filter", f"{name} expects {expected}, got {text[:40]!r}") from None


def _number(text: str, *, is_integer: bool) -> float | int:
    value = int(text) if is_integer else float(text)
    if not math.isfinite(value) or (is_integer and abs(value) >= _MAX_NUMBER):
        raise ValueError(text)
    return value


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _check_field(parameter: str, name: str, fields: Iterable[str]) -> None:
    if name not in fields:
        raise InvalidParameter(parameter, f"unknown field {name[:40]!r}; the fields are {', '.join(fields)}")
