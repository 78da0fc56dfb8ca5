"""Pagination of lists: the parameters `sort`, `filter` and `fields`, cursors, and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import Query, Response
from pydantic_core import to_json

from service.api.deps import decode_cursor, encode_cursor
from service.api.responses import mark
from service.errors import InvalidParameter
from service.store.query import MAX_LENGTH, Fields, FieldType, Sort, parse_filter, parse_sort
from service.store.reading import PageEnd, PageQuery

SortText = Annotated[
    str | None,
    Query(
        max_length=MAX_LENGTH,
        description="a field; with a leading -, in descending order; items without a value come last",
    ),
]
FilterText = Annotated[
    str | None,
    Query(
        max_length=MAX_LENGTH,
        description="comma-separated conditions that must all hold: field, operator (: != < <= > >=, ~ for contains),"
        " value; `a:x|y` means either value, `a:null` no value",
        examples=["status:done|failed"],
    ),
]
FieldsText = Annotated[
    str | None, Query(max_length=MAX_LENGTH, description="comma-separated fields: only these are sent")
]

_BAD_CURSOR: Final = "must be the next_cursor of a page with the same sort"
_JSON_TYPES: Final[Mapping[FieldType, tuple[type, ...]]] = {
    FieldType.NUMBER: (float, int),
    FieldType.INTEGER: (int,),
    FieldType.TEXT: (str,),
    FieldType.TIME: (str,),
}


def page_query(
    *,
    sort: str,
    conditions: str | None,
    cursor: str | None,
    limit: int,
    fields: Fields,
    choices: Mapping[str, Sequence[str]],
    unique: str,
) -> PageQuery:
    """The query of a page. It reads one row more than `limit`, which tells whether there is another page.

    `unique`: the field that orders items with equal values. InvalidParameter for a parameter that is not valid.
    """
    order = parse_sort(sort, fields)
    after = None if cursor is None else _page_end(cursor, order, fields, unique)
    return PageQuery(parse_filter(conditions, fields, choices), order, after, limit + 1)


def next_cursor(query: PageQuery, rows: Sequence[PageEnd]) -> str | None:
    """The cursor after the last item of a page; None at the end of the list.

    `rows`: sort value and unique field of every row that was read.
    """
    if len(rows) < query.limit:
        return None
    value, unique = rows[query.limit - 2]
    return encode_cursor(str(query.sort), value.isoformat() if isinstance(value, datetime) else value, unique)


def _page_end(cursor: str, sort: Sort, fields: Fields, unique: str) -> PageEnd:
    values = decode_cursor(cursor)
    if len(values) != 3 or values[0] != str(sort) or values[2] is None:
        raise InvalidParameter("cursor", _BAD_CURSOR)
    _, value, last = values
    for stored, field_type in ((value, fields[sort.field]), (last, fields[unique])):
        if stored is not None and type(stored) not in _JSON_TYPES[field_type]:
            raise InvalidParameter("cursor", _BAD_CURSOR)
        if isinstance(stored, int) and not -(2**63) <= stored < 2**63:
            raise InvalidParameter("cursor", _BAD_CURSOR)
    if fields[sort.field] is FieldType.TIME and value is not None:
        return _time(value), _storable(last)
    return _storable(value), _storable(last)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is not None:
            return time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidParameter("cursor", _BAD_CURSOR)


def _storable(value: Any) -> Any:
    """The value, if a row can have it: no text with NUL or with half of a surrogate pair."""
    if isinstance(value, str) and (
        "\0" in value or any("\ud800" <= character <= "\udfff" for character in value)
    ):
        raise InvalidParameter("cursor", _BAD_CURSOR)
    return value


def with_condition(conditions: str | None, field: str, value: str | None) -> str | None:
    """The filter with one more condition, if there is a value."""
    return conditions if value is None else ",".join(filter(None, (conditions, f"{field}:{value}")))


def page(items: Sequence[Mapping[str, Any]], cursor: str | None, etag: str) -> Response:
    """A page as JSON; NaN and infinity are null."""
    body = to_json({"items": items, "next_cursor": cursor}, inf_nan_mode="null")
    response = Response(body, media_type="application/json")
    mark(response, etag)
    return response
