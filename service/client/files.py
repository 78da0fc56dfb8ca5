"""Downloads: into a part that survives a broken connection, checked, then under their name. Sends nothing."""

from __future__ import annotations

import contextlib
import hashlib
import os
from glob import escape
from pathlib import Path
from typing import BinaryIO, Final

import httpx

from service.client.errors import Damaged, refusal

CHUNK: Final = 1 << 16
_PARTIAL: Final = 206
_NO_RANGE: Final = 416


class Download:
    """A file on its way into `folder`. The part carries the file's SHA-256 in its name, so that a later call, even of
    another process, goes on where this one ended, if the service still has the same bytes.

    Use: send `headers()`, then `begin(answer)`, `write()` each chunk, `pause()` in any case, `finish()` at the end.
    """

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._name = Path(name).name
        self._part: Path | None = next(iter(sorted(folder.glob(f".{escape(self._name)}.*.part"))), None)
        self._file: BinaryIO | None = None

    def headers(self) -> dict[str, str]:
        """What asks for the rest of the part, if its bytes are still those of the service's file."""
        if self._part is None or not (size := self._part.stat().st_size):
            return {}
        return {"Range": f"bytes={size}-", "If-Range": f'"{self._sha256(self._part)}"'}

    def begin(self, answer: httpx.Response) -> bool:
        """Open the part as the answer says; False if there is nothing more to read. Refused for any other error."""
        if answer.status_code == _NO_RANGE and self._part is not None:
            return False  # it is whole already
        if answer.is_error:
            raise refusal(answer)
        sha256 = str(answer.headers.get("etag", "")).removeprefix("W/").strip('"')
        part = self._folder / f".{self._name}.{sha256}.part"
        if self._part is not None and self._part != part:
            self._part.unlink(missing_ok=True)
        self._part = part
        self._file = part.open("ab" if answer.status_code == _PARTIAL else "wb")
        return True

    def write(self, chunk: bytes) -> None:
        """Add bytes."""
        assert self._file is not None
        self._file.write(chunk)

    def finish(self) -> Path:
        """The file under its name. Damaged, and nothing left, if it does not have its checksum."""
        assert self._part is not None
        expected, digest = self._sha256(self._part), hashlib.sha256()
        with self._part.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != expected:
            self._part.unlink()
            raise Damaged(f"{self._name} arrived damaged: its checksum is not {expected}")
        target = self._folder / self._name
        os.replace(self._part, target)
        return target

    def pause(self) -> None:
        """Let go of the part; it stays for the next attempt."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _sha256(self, part: Path) -> str:
        return part.name.removesuffix(".part").rpartition(".")[2]


class Export:
    """A file without a checksum on its way to `path`: there whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._file: BinaryIO | None = None

    def headers(self) -> dict[str, str]:
        """It always comes whole."""
        return {}

    def begin(self, answer: httpx.Response) -> bool:
        """Open the part; Refused if the answer is an error."""
        if answer.is_error:
            raise refusal(answer)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._part.open("wb")
        return True

    def write(self, chunk: bytes) -> None:
        """Add bytes."""
        assert self._file is not None
        self._file.write(chunk)

    def finish(self) -> Path:
        """The file under its name."""
        os.replace(self._part, self._path)
        return self._path

    def pause(self) -> None:
        """Let go of the part; the next attempt begins anew."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def discard(self) -> None:
        """Remove what is left of a file that did not come whole."""
        with contextlib.suppress(OSError):
            self._part.unlink()
