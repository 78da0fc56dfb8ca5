"""Patterns of layer names in jobs. Plain; nothing loads Keras."""

from __future__ import annotations

import re
from typing import Final

MAX_REPEATS: Final = 3  #: unbounded repeats in a pattern


def checked_pattern(pattern: str) -> str:
    """The pattern unchanged. ValueError unless it is a regular expression that matches a layer name in little time.

    Repeated groups, back-references and look-arounds can take exponential time, many unbounded repeats polynomial time.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    bare = re.sub(r"\[[^\]]*\]", "x", re.sub(r"\\[^1-9]", "x", pattern))
    if re.search(r"\)[*+{]|\\[1-9]|\(\?", bare):
        raise ValueError("repeated groups, (?...) groups and back-references are not allowed in patterns")
    if len(re.findall(r"[*+{]", bare)) > MAX_REPEATS:
        raise ValueError(f"more than {MAX_REPEATS} repeats (* + {{}}) in one pattern")
    return pattern
