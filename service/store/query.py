"""What a reader of a list asks for: `sort`, `filter` and `fields` of the query, as values. Plain; knows no SQL.

sort    a field, with "-" in front for the largest first; what has no value stands last
filter  conditions joined by commas, all of which must hold: status:done|pruned,energy_pj<1000,metric>=0.9
fields  names joined by commas: only these are sent
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


class Kind(StrEnum):
    """What a field holds."""

    NUMBER = "number"
    WHOLE = "whole number"
    TEXT = "text"
    MOMENT = "moment"


#: The operators of each kind: ":" is one of some values, "~" contains.
OPERATORS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.NUMBER: (":", "!=", "<=", ">=", "<", ">"),
    Kind.WHOLE: (":", "!=", "<=", ">=", "<", ">"),
    Kind.TEXT: (":", "!=", "~"),
    Kind.MOMENT: ("<=", ">=", "<", ">", ":", "!="),
}
_NULL: Final = "null"
_CONDITION: Final = re.compile(r"\s*([^\s:!=<>~,]+)\s*(!=|<=|>=|:|=|<|>|~)\s*(\"[^\"]*\"|[^,\"]*)\s*(?:,|$)")

Value = str | float | int | datetime | None
Fields = Mapping[str, Kind]


@dataclass(frozen=True, slots=True)
class Condition:
    """`field operator values`; several values only with ":", None only with ":" and "!="."""

    field: str
    operator: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    """By which field, and which end first."""

    field: str
    descending: bool = False

    def __str__(self) -> str:
        return f"-{self.field}" if self.descending else self.field


def parse_sort(text: str, fields: Iterable[str]) -> Sort:
    """The order `sort` names; InvalidParameter names the fields there are."""
    found = Sort(text.removeprefix("-"), text.startswith("-"))
    _known("sort", found.field, fields)
    return found


def parse_fields(text: str | None, fields: Sequence[str]) -> tuple[str, ...]:
    """The names `fields` lists, in the order of `fields` itself; all if it is None."""
    if text is None:
        return tuple(fields)
    asked = [name.strip() for name in text.split(",")]
    for name in asked:
        _known("fields", name, fields)
    return tuple(name for name in fields if name in asked)


def parse_filter(
    text: str | None, fields: Fields, choices: Mapping[str, Sequence[str]]
) -> tuple[Condition, ...]:
    """The conditions of `filter`; InvalidParameter names the field and what is allowed for it.

    `choices`: the values of the text fields that have few.
    """
    if text is None or not text.strip():
        return ()
    found, position = [], 0
    while position < len(text):
        match = _CONDITION.match(text, position)
        if match is None:
            rest = text[position : position + 40]
            raise InvalidParameter(
                "filter",
                f"cannot be read at {rest!r}: write field, operator, value: metric>=0.9 or status:done",
            )
        found.append(_condition(*match.groups(), fields=fields, choices=choices))
        position = match.end()
    if len(found) > _MAX_CONDITIONS:
        raise InvalidParameter("filter", f"has {len(found)} conditions; {_MAX_CONDITIONS} are allowed")
    return tuple(found)


def _condition(
    name: str, operator: str, text: str, *, fields: Fields, choices: Mapping[str, Sequence[str]]
) -> Condition:
    _known("filter", name, fields)
    kind, operator = fields[name], ":" if operator == "=" else operator
    if operator not in OPERATORS[kind]:
        allowed = " ".join(OPERATORS[kind])
        raise InvalidParameter(
            "filter", f"{name} is {_a(kind)}: {operator} is no operator of it; allowed: {allowed}"
        )
    if text.startswith('"'):
        texts = [text[1:-1]]
    else:
        texts = [part.strip() for part in text.split("|")] if operator == ":" else [text.strip()]
    values = tuple(_value(name, part, kind, operator, is_quoted=text.startswith('"')) for part in texts)
    for value in values:
        if name in choices and value is not None and value not in choices[name]:
            raise InvalidParameter(
                "filter", f"{name} cannot be {str(value)[:40]!r}; allowed: {', '.join(choices[name])}"
            )
    return Condition(name, operator, values)


def _value(name: str, text: str, kind: Kind, operator: str, *, is_quoted: bool) -> Value:
    if text == _NULL and not is_quoted and operator in (":", "!="):
        return None
    if kind is Kind.TEXT:
        return text.replace("\0", "")
    try:
        return _moment(text) if kind is Kind.MOMENT else _number(text, whole=kind is Kind.WHOLE)
    except (ValueError, OverflowError):
        example = "2026-01-31T12:00:00Z" if kind is Kind.MOMENT else "12" if kind is Kind.WHOLE else "0.9"
        raise InvalidParameter(
            "filter", f"{name} is {_a(kind)}: {text[:40]!r} is none; write for example {example}"
        ) from None


def _number(text: str, *, whole: bool) -> float | int:
    value = int(text) if whole else float(text)
    if not math.isfinite(value) or (whole and abs(value) >= _MAX_NUMBER):
        raise ValueError(text)
    return value


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _known(parameter: str, name: str, fields: Iterable[str]) -> None:
    if name not in fields:
        raise InvalidParameter(parameter, f"{name[:40]!r} is no field; allowed: {', '.join(fields)}")


def _a(kind: Kind) -> str:
    return f"a {kind}"
