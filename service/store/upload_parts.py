"""Unfinished uploads: files beside the blobs, written in parts, then moved into the blob store or removed."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from service.errors import BusyUpload, Unavailable, WrongOffset
from service.store.blobs import Blob, BlobStore

_CHUNK: Final = 1 << 20
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class PartWriter:
    """Writes the part of an upload that one request brings. Content in one part is hashed as it is written."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self._descriptor = descriptor
        self._digest = hashlib.sha256() if offset == 0 else None
        self.offset = offset

    def write(self, data: bytes) -> None:
        """Append. Unavailable if the disk is full."""
        remaining = memoryview(data)
        try:
            while remaining:
                start = self.offset + len(data) - len(remaining)
                remaining = remaining[os.pwrite(self._descriptor, remaining, start) :]
        except OSError as error:
            if error.errno in _FULL:
                raise Unavailable("no space is left for uploads") from error
            raise
        self.offset += len(data)
        if self._digest is not None:
            self._digest.update(data)

    def finish(self) -> str:
        """Flush the content to disk and return its SHA-256."""
        os.fsync(self._descriptor)
        if self._digest is not None:
            return self._digest.hexdigest()
        digest, offset = hashlib.sha256(), 0
        while chunk := os.pread(self._descriptor, _CHUNK, offset):
            digest.update(chunk)
            offset += len(chunk)
        return digest.hexdigest()


class UploadParts:
    """The folder of unfinished uploads, beside the blobs, so that finished content is moved, not copied."""

    def __init__(self, root: Path, blobs: BlobStore) -> None:
        self._root = root
        self._blobs = blobs

    def path(self, upload_id: str) -> Path:
        """The path of an upload's bytes, received or not."""
        return self._root / upload_id

    def offset(self, upload_id: str) -> int:
        """How many bytes were received."""
        try:
            return self.path(upload_id).stat().st_size
        except FileNotFoundError:
            return 0

    @contextmanager
    def writing(self, upload_id: str, offset: int | None) -> Iterator[PartWriter]:
        """Write from `offset` on; None: from the start, discarding what was received.

        WrongOffset unless that many bytes were received, BusyUpload while another request writes.
        """
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.path(upload_id), flags, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BusyUpload from None
            if not self._is_at(upload_id, descriptor):
                raise BusyUpload  # whoever had the lock has moved the file to the blobs, or removed it
            size = os.fstat(descriptor).st_size
            if offset is None:
                os.ftruncate(descriptor, 0)
            elif offset != size:
                raise WrongOffset(size)
            yield PartWriter(descriptor, offset or 0)
        finally:
            os.close(descriptor)

    def _is_at(self, upload_id: str, descriptor: int) -> bool:
        """Whether an open file still is the upload's: it was opened before its lock was acquired."""
        try:
            return os.path.samestat(os.fstat(descriptor), self.path(upload_id).stat())
        except FileNotFoundError:
            return False

    def move_to_blobs(self, upload_id: str, sha256: str) -> Blob:
        """Move the content, which `finish` has flushed, into the blob store. Equal content is stored once."""
        return self._blobs.take(self.path(upload_id), sha256)

    def replace(self, upload_id: str, path: Path) -> str:
        """Put the content of a file in the place of what was received; its SHA-256. To be called within `writing`."""
        target = self.path(upload_id)
        shutil.move(path, target)
        with open(target, "rb") as file:
            os.fsync(file.fileno())
            return hashlib.file_digest(file, "sha256").hexdigest()

    def remove(self, upload_id: str) -> None:
        """Remove the bytes, if there are any."""
        self.path(upload_id).unlink(missing_ok=True)

    def remove_stale(self, before: datetime) -> int:
        """Remove uploads that received nothing since `before`; how many."""
        removed = 0
        for path in self._root.glob("*"):
            try:
                if path.stat().st_mtime < before.timestamp():
                    path.unlink()
                    removed += 1
            except FileNotFoundError:  # finished or removed meanwhile
                continue
        return removed
