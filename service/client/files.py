"""Downloads: written to a partial file, checked, then renamed. Sends nothing."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
from glob import escape
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

import httpx

from service.client.errors import Damaged, refusal

#: A path as users write it.
StrPath: TypeAlias = str | os.PathLike[str]

CHUNK: Final = 1 << 16
#: Files are not compressed on their way: a kilobyte could become gigabytes.
_AS_IT_IS: Final = {"Accept-Encoding": "identity"}
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_PARTIAL: Final = 206
_NO_RANGE: Final = 416


def plain_name(name: str) -> str:
    """The name of a file in a folder. Damaged for one that leads elsewhere, or that no file can have."""
    if name in ("", ".", "..") or "/" in name or "\\" in name or not name.isprintable():
        raise Damaged(f"the service names a file {name[:60]!a}")
    return name


def _declared(answer: httpx.Response) -> float:
    """The bytes that an answer says it has; without limit if it does not say so, none if they are compressed."""
    if answer.headers.get("content-encoding", "identity") != "identity":
        return 0
    length = answer.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else math.inf


class Download:
    """A download to `folder`. The name of the partial file contains the SHA-256 of the whole file, so that a later
    call, also of another process, continues the download if the service still has the same file.

    Use: send `headers()`, then `begin(answer)`, `write()` each chunk, `pause()` in any case, `finish()` at the end.
    """

    def __init__(self, folder: Path, name: str, size_bytes: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = plain_name(name)
        self._size_bytes = size_bytes
        self._part: Path | None = next(iter(sorted(folder.glob(f".{escape(self._name)}.*.part"))), None)
        self._file: BinaryIO | None = None
        self._left: float = 0  #: bytes that may follow

    def headers(self) -> dict[str, str]:
        """The headers that request the rest of the file, if it has not changed."""
        if self._part is None or not (size := self._part.stat().st_size):
            return dict(_AS_IT_IS)
        return {**_AS_IT_IS, "Range": f"bytes={size}-", "If-Range": f'"{self._sha256(self._part)}"'}

    def begin(self, answer: httpx.Response) -> bool:
        """Open the partial file; False if it is already complete. Refused for any other error."""
        if answer.status_code == _NO_RANGE and self._part is not None:
            return False  # it is already complete
        if answer.is_error:
            raise refusal(answer)
        sha256 = str(answer.headers.get("etag", "")).removeprefix("W/").strip('"')
        if not _SHA256.fullmatch(sha256):
            raise Damaged(f"{self._name} is sent without its checksum")
        part = self._folder / f".{self._name}.{sha256}.part"
        if self._part is not None and self._part != part:
            self._part.unlink(missing_ok=True)
        self._part = part
        self._file = part.open("ab" if answer.status_code == _PARTIAL else "wb")
        self._left = _declared(answer)
        if self._size_bytes is not None:
            self._left = min(self._left, self._size_bytes - self._file.tell())
        return True

    def write(self, chunk: bytes) -> None:
        """Append bytes. Damaged if they are more than were declared: nothing of them is written."""
        assert self._file is not None
        self._left -= len(chunk)
        if self._left < 0:
            raise Damaged(f"{self._name} has more bytes than were declared")
        self._file.write(chunk)

    def finish(self) -> Path:
        """Rename the complete file. If its checksum is wrong, delete it and raise Damaged."""
        assert self._part is not None
        expected, digest = self._sha256(self._part), hashlib.sha256()
        with self._part.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != expected:
            self._part.unlink()
            raise Damaged(f"{self._name} is damaged: its checksum is not {expected}")
        target = self._folder / self._name
        os.replace(self._part, target)
        return target

    def pause(self) -> None:
        """Close the partial file; the next attempt continues it."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _sha256(self, part: Path) -> str:
        return part.name.removesuffix(".part").rpartition(".")[2]


class Export:
    """A download to `path` without a checksum; the file exists only once it is complete."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._file: BinaryIO | None = None

    def headers(self) -> dict[str, str]:
        """No headers: the file is always sent from its start."""
        return {}

    def begin(self, answer: httpx.Response) -> bool:
        """Open the partial file; Refused if the answer is an error."""
        if answer.is_error:
            raise refusal(answer)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._part.open("wb")
        return True

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        assert self._file is not None
        self._file.write(chunk)

    def finish(self) -> Path:
        """Rename the complete file."""
        os.replace(self._part, self._path)
        return self._path

    def pause(self) -> None:
        """Close the partial file; the next attempt starts again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Remove a partial file."""
        with contextlib.suppress(OSError):
            self._part.unlink()
