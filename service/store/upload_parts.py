"""Uploads under way: files beside the blobs, filled in pieces, then moved among them or removed."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from service.errors import BusyUpload, Unavailable, WrongOffset
from service.store.blobs import Blob, BlobStore

_CHUNK: Final = 1 << 20
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Piece:
    """Where a request writes what it brings. Content that comes in one piece is hashed on its way."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self._digest = hashlib.sha256() if offset == 0 else None
        self.offset = offset

    def write(self, data: bytes) -> None:
        """Append. Unavailable if the disk is full."""
        left = memoryview(data)
        try:
            while left:
                left = left[os.pwrite(self._descriptor, left, self.offset + len(data) - len(left)) :]
        except OSError as error:
            if error.errno in _FULL:
                raise Unavailable("there is no room left for uploads") from error
            raise
        self.offset += len(data)
        if self._digest is not None:
            self._digest.update(data)

    def finish(self) -> str:
        """Have all of the content on disk, and return its SHA-256."""
        os.fsync(self._descriptor)
        if self._digest is not None:
            return self._digest.hexdigest()
        digest, place = hashlib.sha256(), 0
        while chunk := os.pread(self._descriptor, _CHUNK, place):
            digest.update(chunk)
            place += len(chunk)
        return digest.hexdigest()


class Incoming:
    """The folder of unfinished uploads, beside the blobs, so that what is finished is moved, not copied."""

    def __init__(self, root: Path, blobs: BlobStore) -> None:
        self._root = root
        self._blobs = blobs

    def path(self, upload_id: str) -> Path:
        """Where an upload's bytes lie, or would."""
        return self._root / upload_id

    def offset(self, upload_id: str) -> int:
        """How many bytes are there."""
        try:
            return self.path(upload_id).stat().st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def writing(self, upload_id: str, offset: int | None) -> Iterator[Piece]:
        """Write from `offset` on; None: from the start, whatever is there.

        WrongOffset unless that many bytes are there, BusyUpload while another request writes.
        """
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.path(upload_id), flags, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyUpload from None
            there = os.fstat(descriptor).st_size
            if offset is None:
                os.ftruncate(descriptor, 0)
            elif offset != there:
                raise WrongOffset(there)
            yield Piece(descriptor, offset or 0)
        finally:
            os.close(descriptor)

    def keep(self, upload_id: str, sha256: str) -> Blob:
        """Move the content, which is on disk already, among the blobs. Equal content is stored once."""
        source, target = self.path(upload_id), self._blobs.path(sha256)
        size = source.stat().st_size
        target.parent.mkdir(parents=True, exist_ok=True)
        os.utime(source)  # content that was put lately is not swept away
        os.replace(source, target)
        directory = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return Blob(sha256, size)

    def drop(self, upload_id: str) -> None:
        """Remove the bytes; nothing happens if there are none."""
        self.path(upload_id).unlink(missing_ok=True)

    def drop_stale(self, before: datetime) -> int:
        """Remove what nobody has written to since; how many."""
        removed = 0
        for path in self._root.glob("*"):
            try:
                if path.stat().st_mtime < before.timestamp():
                    path.unlink()
                    removed += 1
            except FileNotFoundError:  # finished or dropped meanwhile
                continue
        return removed
