"""Where in a document something stands, and what is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from costmodel.errors import InvalidDescription

Path: TypeAlias = tuple[str | int, ...]

_UNSHOWABLE: Final = re.compile(r"[^ -~]")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a document: the steps from its root, and the layer it belongs to ("" outside of any)."""

    path: Path = ()
    layer: str = ""

    def at(self, *steps: str | int) -> Place:
        """A place further inside."""
        return Place((*self.path, *steps), self.layer)

    def fault(self, reason: str) -> InvalidDescription:
        """An error about this place, to be raised."""
        return InvalidDescription(self.layer, _field(self.path), reason, self.path)


def _field(path: Path) -> str:
    """The steps behind the layer, as a field of it."""
    starts = [index + 2 for index, step in enumerate(path) if step == "layers" and index + 1 < len(path)]
    inside = path[starts[0] :] if starts else path
    return ".".join(str(step) for step in inside if step != "config")


def shown(value: object, most: int = 60) -> str:
    """Something out of a stranger's file, short and printable."""
    text = (
        value if isinstance(value, str) else repr(value) if not isinstance(value, int) else str(value)[:most]
    )
    text = _UNSHOWABLE.sub("?", text[: most + 1])
    return repr(text if len(text) <= most else text[: most - 3] + "...")


def described(value: Any) -> str:
    """What a value is, for an error: the class of a serialized object, or the value itself."""
    if isinstance(value, dict) and "class_name" in value:
        return f"the object {shown(value['class_name'])}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**64:
        return "a huge number"
    return shown(value) if isinstance(value, str) else f"{shown(value)[1:-1]}"
