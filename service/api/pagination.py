"""What lists share: `sort`, `filter` and `fields` of the query, cursors that hold them, and sparse answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
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
        max_length=MAX_LENGTH, description="a field; - in front: largest first; what has no value stands last"
    ),
]
FilterText = Annotated[
    str | None,
    Query(
        max_length=MAX_LENGTH,
        description="conditions that all must hold, by comma: field, one of : != < <= > >= ~ (contains), value;"
        " a:x|y is one of both, a:null has no value",
        examples=["status:done|failed"],
    ),
]
FieldsText = Annotated[
    str | None, Query(max_length=MAX_LENGTH, description="send only these fields of each item, by comma")
]

_NO_PAGE: Final = "is not the next_cursor of a page with this sort"
_PLAIN: Final[Mapping[FieldType, tuple[type, ...]]] = {
    FieldType.NUMBER: (float, int),
    FieldType.INTEGER: (int,),
    FieldType.TEXT: (str,),
    FieldType.TIME: (str,),
}


def order_of(
    *,
    sort: str,
    conditions: str | None,
    cursor: str | None,
    limit: int,
    fields: Fields,
    choices: Mapping[str, Sequence[str]],
    unique: str,
) -> PageQuery:
    """How the page is cut; one row more than `limit` is asked for, which tells whether there is another page.

    `unique`: the field that tells equal ones apart. InvalidParameter for whatever cannot be read.
    """
    order = parse_sort(sort, fields)
    after = None if cursor is None else _place(cursor, order, fields, unique)
    return PageQuery(parse_filter(conditions, fields, choices), order, after, limit + 1)


def next_cursor(order: PageQuery, places: Sequence[PageEnd]) -> str | None:
    """The cursor behind the last row of a page that is full; None at the end of the list."""
    if len(places) < order.limit:
        return None
    value, unique = places[order.limit - 2]
    return encode_cursor(str(order.sort), value.isoformat() if isinstance(value, datetime) else value, unique)


def _place(cursor: str, sort: Sort, fields: Fields, unique: str) -> PageEnd:
    values = decode_cursor(cursor)
    if len(values) != 3 or values[0] != str(sort):
        raise InvalidParameter("cursor", _NO_PAGE)
    _, value, last = values
    kind = fields[sort.field]
    for each, each_kind in ((value, kind), (last, fields[unique])):
        if each is not None and type(each) not in _PLAIN[each_kind]:
            raise InvalidParameter("cursor", _NO_PAGE)
    if last is None or any(isinstance(each, int) and not -(2**63) <= each < 2**63 for each in (value, last)):
        raise InvalidParameter("cursor", _NO_PAGE)
    return _moment(value) if kind is FieldType.TIME and value is not None else _clean(value), _clean(last)


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidParameter("cursor", _NO_PAGE) from None
    if found.tzinfo is None:
        raise InvalidParameter("cursor", _NO_PAGE)
    return found


def _clean(value: Any) -> Any:
    return value.replace("\0", "") if isinstance(value, str) else value


def also(conditions: str | None, field: str, value: str | None) -> str | None:
    """The filter with one more condition, if there is a value."""
    return conditions if value is None else ",".join(filter(None, (conditions, f"{field}:{value}")))


def page(items: Sequence[Mapping[str, Any]], cursor: str | None, etag: str) -> Response:
    """A page as JSON; what JSON cannot hold (NaN, infinity) is null."""
    body = to_json({"items": items, "next_cursor": cursor}, inf_nan_mode="null")
    response = Response(body, media_type="application/json")
    mark(response, etag)
    return response
