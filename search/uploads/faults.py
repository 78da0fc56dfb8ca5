"""Faults of uploaded files."""

from __future__ import annotations

import re
from typing import Final

_UNSHOWABLE: Final = re.compile(r"[^ -~]")


class UploadFault(ValueError):
    """Why a file is refused. `where`: the part of it, "config.json/config/layers/3" for example; "" for the whole.

    A reason continues the sentence "the file ...".
    """

    def __init__(self, where: str, reason: str) -> None:
        self.where = where
        self.reason = reason
        super().__init__(f"{where}: {reason}" if where else f"the file {reason}")


def shown(value: object, most: int = 60) -> str:
    """Something out of a stranger's file, short and printable."""
    text = (
        value if isinstance(value, str) else repr(value) if not isinstance(value, int) else str(value)[:most]
    )
    text = _UNSHOWABLE.sub("?", text[: most + 1])
    return repr(text if len(text) <= most else text[: most - 3] + "...")
