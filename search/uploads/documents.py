"""Strict JSON of uploaded files: bounded in size and depth, no duplicate fields."""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

from search.uploads.faults import UploadFault, shown

MAX_DEPTH: Final = 64


def read_document(data: bytes, where: str) -> dict[str, Any]:
    """The JSON object in `data`. UploadFault for what is none, for NaN, for a name twice, for more than 64 levels."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise UploadFault(where, "names a field twice in one object")
        return fields

    def no_constant(text: str) -> NoReturn:
        raise UploadFault(where, f"holds {text}, which is not JSON")

    try:
        document = json.loads(data.decode("utf-8"), object_pairs_hook=once, parse_constant=no_constant)
    except UploadFault:
        raise
    except RecursionError:
        raise UploadFault(where, f"is nested more than {MAX_DEPTH} levels deep") from None
    except ValueError:  # UnicodeDecodeError and JSONDecodeError are among them
        raise UploadFault(where, "is not JSON in UTF-8") from None
    _check(document, where, 0)
    if not isinstance(document, dict):
        raise UploadFault(where, "must be a JSON object")
    return document


def _check(value: Any, where: str, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise UploadFault(where, f"is nested more than {MAX_DEPTH} levels deep")
    match value:
        case dict():
            for name, item in value.items():
                _check(name, where, depth)
                _check(item, where, depth + 1)
        case list():
            for item in value:
                _check(item, where, depth + 1)
        case str():
            if "\0" in value or not _is_text(value):
                raise UploadFault(where, f"holds {shown(value)}, which is not text")
        case float():
            if not math.isfinite(value):
                raise UploadFault(where, "holds a number that is too large")
        case bool() | None:
            pass
        case int():
            if abs(value) >= 2**63:
                raise UploadFault(where, "holds a number that is too large")


def _is_text(value: str) -> bool:
    """False for half of a surrogate pair, which JSON can state and nothing can store."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
