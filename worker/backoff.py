"""When a worker claims nothing: after the database or a disk failed it, and while a disk has no room."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from service.store.blobs import free_bytes

#: Seconds without claims after a failure, and after several in a row at most.
_PAUSE_S, _MAX_PAUSE_S = 2.0, 60.0


class Backoff:
    """A pause that doubles with every failure outside the trials, until something ends well."""

    def __init__(self) -> None:
        self._failures = 0
        self._until_s = 0.0
        self._problem: str | None = None

    def is_news(self, problem: str | None) -> bool:
        """Whether what keeps the worker from working has changed since it was last noted; None: nothing does."""
        before, self._problem = self._problem, problem
        return (before is None) != (problem is None)

    def note_failure(self) -> None:
        """The database or a disk failed: claim nothing for a while."""
        pause_s: float = min(_PAUSE_S * 2**self._failures, _MAX_PAUSE_S)
        self._failures += 1
        self._until_s = time.monotonic() + pause_s

    def note_success(self) -> None:
        """Something was stored."""
        self._failures, self._until_s = 0, 0.0

    @property
    def is_pausing(self) -> bool:
        """Whether nothing is to be claimed now."""
        return time.monotonic() < self._until_s


def scratch_folder() -> Path:
    """Where the files of a task are made, before any of them is stored."""
    return Path(tempfile.gettempdir())


def shortage(folders: Iterable[Path], least_bytes: int) -> str | None:
    """Which folder's disk has less free space than a trial may need, for people; None if all have room."""
    for folder in folders:
        free = free_bytes(folder)
        if free < least_bytes:
            return (
                f"the disk of {folder} has {free >> 20} MB free, fewer than the {least_bytes >> 20} MB of"
                " FEWBITS_MIN_FREE_MB: no trial begins until there is room"
            )
    return None
