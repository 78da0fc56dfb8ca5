"""JSON bodies as values: strict, of limited size, and storable in SQL. The cost is linear in the body."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, Final

from pydantic_core import from_json

from search.errors import Problem, pointer_token
from service.errors import InvalidRequest, Malformed, TooLarge

#: Values in a body: an architecture of 1,600 layers has about 100,000.
MAX_VALUES: Final = 300_000
#: Characters of a name in an object; texts may be longer.
MAX_NAME: Final = 1_000


def parse_json(body: bytes, max_values: int = MAX_VALUES) -> Any:
    """The JSON value in a body.

    Raises `Malformed` unless it is strict JSON nested at most 200 deep, `TooLarge` for more than `max_values` values,
    `InvalidRequest` for what SQL cannot store (U+0000, numbers that overflow) and for names of more than 1,000
    characters.
    """
    try:
        document = from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise Malformed(f"the body is not JSON: {error}") from None
    _check(document, max_values)
    return document


def _check(document: Any, max_values: int) -> None:
    """Look at every value once; only for a fault is a pointer made, all of them would cost a square of the depth."""
    pending = [document]
    count = 0
    while pending:
        value = pending.pop()
        count += 1
        if _fault(value) is not None:
            raise InvalidRequest([_located(document)])
        if isinstance(value, dict):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
        if count + len(pending) > max_values:
            raise TooLarge(f"the body has more than {max_values} values")


def _fault(value: Any) -> str | None:
    """What is wrong with one value, without what is inside of it."""
    if isinstance(value, float) and not math.isfinite(value):
        return "the number is too large"
    if isinstance(value, str) and "\0" in value:
        return "text may not contain the character U+0000"
    if isinstance(value, dict):
        if any("\0" in name for name in value):
            return "names may not contain the character U+0000"
        if any(len(name) > MAX_NAME for name in value):
            return f"names may have at most {MAX_NAME} characters"
    return None


def _located(document: Any) -> Problem:
    """The first fault in a document that has one, in reading order."""
    levels: list[Iterator[tuple[str | int, Any]]] = [iter([("", document)])]
    path: list[str | int] = [""]
    while levels:
        step = next(levels[-1], None)
        if step is None:
            levels.pop()
            path.pop()
            continue
        path[-1], value = step
        message = _fault(value)
        if message is not None:
            return Problem("".join(f"/{pointer_token(part)}" for part in path[1:]), message)
        levels.append(iter(_children(value)))
        path.append("")
    raise AssertionError("the document has no fault")


def _children(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()
