"""Patterns of layer names in jobs, matched in linear time. Plain; nothing loads Keras.

RE2 (google-re2) never backtracks: matching takes time in proportion to pattern times name, whatever a user writes. It
has no look-around and no back-references.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import re2

MAX_LENGTH: Final = 500  #: characters of a pattern
_MAX_MEMORY: Final = 1 << 20  #: bytes of a compiled pattern; `(x{99}){99}` needs more
_CACHED: Final = 256


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern matches the whole of a name. ValueError for what is not a pattern."""
    return _compiled(pattern).fullmatch(name) is not None


def checked_pattern(pattern: str) -> str:
    """The pattern unchanged. ValueError, saying what is wrong, unless it is a regular expression of RE2's."""
    _compiled(pattern)
    return pattern


@lru_cache(_CACHED)
def _compiled(pattern: str) -> Any:
    if len(pattern) > MAX_LENGTH:
        raise ValueError(f"a pattern has at most {MAX_LENGTH} characters, not {len(pattern)}")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(
            f"not a regular expression: {_text(error)}; look-arounds and back-references are not supported"
        ) from error


def _text(error: Exception) -> str:
    """RE2's reason, which it gives in bytes."""
    reason = error.args[0] if error.args else ""
    return reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
