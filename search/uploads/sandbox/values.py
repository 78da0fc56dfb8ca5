"""What readers of tables and images take and give, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

#: Names of parts in files and folders -> what follows x and y in the names of their arrays.
PARTS: Final = {
    **dict.fromkeys(("train", "training"), "_train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "_val"),
    **dict.fromkeys(("test", "testing"), "_test"),
}
#: Numbers of an array, as `search.data.files` reads them.
_MAX_NUMBERS: Final = 1 << 30


class RefusedData(Exception):
    """The file is refused; the message says why, and what to do."""


@dataclass(frozen=True)
class Options:
    """How to read. `image_size`: height and width that images are resized to; None: they must have one size."""

    target: str | None = None
    ignore: tuple[str, ...] = ()
    task: str = "auto"
    image_size: tuple[int, int] | None = None


@dataclass
class Converted:
    """Arrays by name, and what their columns and class numbers mean."""

    format: str
    arrays: dict[str, Any] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)


def check_numbers(count: int) -> None:
    """RefusedData for an array of more numbers than a job may read."""
    if count > _MAX_NUMBERS:
        raise RefusedData(f"would unpack to {count} numbers in one array; {_MAX_NUMBERS} are allowed")
