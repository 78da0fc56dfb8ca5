"""What a machine keeps of content that is stored elsewhere: the files used last, up to a limit."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Final

#: Files that a process was handed last are not removed while it lives: it may open them again.
_HELD: Final = 128


class BlobCache:
    """Files under their address in a folder that processes share. Whoever puts one removes the longest unused ones
    beyond the limit, but none that a process holds.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._held: OrderedDict[str, int] = OrderedDict()
        self._lock = Lock()

    def folder(self) -> Path:
        """The folder, made if it is missing."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._folder

    def path(self, sha256: str) -> Path:
        """Where the content is, or would be."""
        return self._folder / sha256[:2] / sha256

    def hold(self, sha256: str) -> bool:
        """Keep the content while this process lives, or until it holds many others; False if it is not here."""
        with self._lock:
            if sha256 not in self._held:
                try:
                    descriptor = os.open(self.path(sha256), os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    return False
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                self._held[sha256] = descriptor
            self._held.move_to_end(sha256)
            if len(self._held) > _HELD:
                os.close(self._held.popitem(last=False)[1])
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.path(sha256))
        if self.path(sha256).exists():
            return True
        self._let_go(sha256)  # removed between its opening and its lock
        return False

    def _let_go(self, sha256: str) -> None:
        with self._lock:
            descriptor = self._held.pop(sha256, None)
        if descriptor is not None:
            os.close(descriptor)

    def put(self, source: Path, sha256: str) -> None:
        """Move a file, on the same file system, into the cache, and make room for it."""
        target = self.path(sha256)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.utime(source)
        os.replace(source, target)
        self._make_room(target)

    def remove(self, sha256: str) -> None:
        """Forget content that is stored no more."""
        self._let_go(sha256)
        self.path(sha256).unlink(missing_ok=True)

    def _make_room(self, newest: Path) -> None:
        files = []
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*"):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in files) - self._most_bytes
        for _, size, path in sorted(files):
            if excess <= 0:
                return
            if path != newest and _removed(path):
                excess -= size


def _removed(path: Path) -> bool:
    """Remove a file unless a process holds it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
