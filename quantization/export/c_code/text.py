"""Numbers, places and comments as C."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

INT32: Final = (1 << 31) - 1  #: the largest


def index_of(names: Sequence[str], shape: Sequence[int]) -> str:
    """The place of an element, from its indexes along the axes."""
    text = ""
    for name, length in zip(names, shape, strict=True):
        text = name if not text else f"({text}) * {length} + {name}"
    return text or "0"


def literal(value: int, is_wide: bool = False) -> str:
    """A number as C: the least one of a type has no literal of its own."""
    if value == -(1 << 63):
        return "INT64_MIN"
    if is_wide or abs(value) > INT32:
        return f"INT64_C({value})" if value >= 0 else f"(-INT64_C({-value}))"
    return str(value) if value >= 0 else f"({value})"


def comment(text: str) -> str:
    """Text that may stand in a comment."""
    return text.replace("*/", "* /").encode("ascii", "replace").decode()
