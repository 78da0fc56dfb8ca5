"""The blob store: files under the SHA-256 of their content.

`BlobStore` is the interface and, as it stands, a folder; `s3_blobs.S3BlobStore` keeps them in a bucket; `open_blobs` is
the one that the settings name. `tests/contracts/test_blobs.py` is what every store does.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final

_CHUNK = 1 << 20
ADDRESS: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blob:
    """Stored content: its address and length."""

    sha256: str
    size_bytes: int


@cache
def _writers() -> ThreadPoolExecutor:
    """Threads that wait for the disk; about as many as a trial has files."""
    return ThreadPoolExecutor(8, thread_name_prefix="blobs")


os.register_at_fork(after_in_child=_writers.cache_clear)  # a child process has no copy of the threads


def free_bytes(folder: Path) -> int:
    """Free space on the disk of a folder, or of the nearest one above it that exists."""
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.exists())).free


def flush_folder(folder: Path) -> None:
    """Have the names in a folder on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class BlobStore:
    """A folder of content-addressed files. Equal content is stored once; files appear whole or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, source: Path) -> Blob:
        """Store a copy of the file and return its address. It is on disk when this returns."""
        self._root.mkdir(parents=True, exist_ok=True)
        digest, size = hashlib.sha256(), 0
        descriptor, name = tempfile.mkstemp(dir=self._root, prefix=".new-")
        try:
            with open(source, "rb") as reader, os.fdopen(descriptor, "wb") as writer:
                while chunk := reader.read(_CHUNK):
                    digest.update(chunk)
                    size += len(chunk)
                    writer.write(chunk)
                writer.flush()
                os.fsync(writer.fileno())
            target = self.path(digest.hexdigest())
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(name, target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        return Blob(digest.hexdigest(), size)

    def put_all(self, sources: Iterable[Path]) -> dict[str, Blob]:
        """Store copies of files in parallel, so that they wait for the disk together; the blobs by file name."""
        paths = list(sources)
        return dict(zip([path.name for path in paths], _writers().map(self.put, paths), strict=True))

    def remove_stale(self, sha256: str, before: datetime) -> bool:
        """Remove content that was not put since `before`; False if it was. Missing content counts as removed.

        Equal content that is put again gets a new time, so that content about to be referenced stays.
        """
        path = self.path(sha256)
        try:
            if path.stat().st_mtime >= before.timestamp():
                return False
            path.unlink()
        except FileNotFoundError:
            pass
        return True

    def addresses(self, before: datetime | None = None) -> Iterator[str]:
        """SHA-256 of all content, or of that which was last put before this moment."""
        for path in self._root.glob("[0-9a-f][0-9a-f]/*"):
            is_old = before is None or path.stat().st_mtime < before.timestamp()
            if is_old and ADDRESS.fullmatch(path.name):
                yield path.name

    def remove_unfinished(self, before: datetime) -> int:
        """Remove files whose writers died before this moment; how many."""
        left = [path for path in self._root.glob(".new-*") if path.stat().st_mtime < before.timestamp()]
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def take(self, source: Path, sha256: str) -> Blob:
        """Move a file whose address is known, and which is on disk, into the store. Equal content is stored once."""
        target, size = self.path(sha256), source.stat().st_size
        target.parent.mkdir(parents=True, exist_ok=True)
        os.utime(source)  # the sweep leaves content that was put lately
        os.replace(source, target)
        flush_folder(target.parent)
        return Blob(sha256, size)

    def path(self, sha256: str) -> Path:
        """The path of content with this address, on this machine, stored or not. A store elsewhere fetches it."""
        return self._root / sha256[:2] / sha256

    def has(self, sha256: str) -> bool:
        """Whether there is content with this address."""
        return self.path(sha256).is_file()

    def is_near(self, sha256: str) -> bool:
        """Whether `path` has nothing to fetch."""
        return True

    def size(self, sha256: str) -> int | None:
        """Bytes of the content with this address, which is not fetched; None if there is none."""
        path = self.path(sha256)
        return path.stat().st_size if path.is_file() else None

    def piece(self, sha256: str, start: int, end: int) -> Iterator[bytes]:
        """Stored content from the byte `start` to before the byte `end`, in chunks; nothing else is fetched.

        A piece is not checked by the address, as whole content is.
        """
        left = end - start
        with self.path(sha256).open("rb") as file:
            file.seek(start)
            while left > 0 and (chunk := file.read(min(left, _CHUNK))):
                left -= len(chunk)
                yield chunk

    def link(self, sha256: str, filename: str, media_type: str) -> str | None:
        """A URL at which anybody may fetch the content for a while; None where the store gives none."""
        return None

    def check(self) -> None:
        """Raise an OSError unless content can be stored and read."""
        self._root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._root):
            pass
