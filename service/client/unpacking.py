"""Zips that others made, unpacked within limits: nothing outside the folder, and no more bytes than may be."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from service.client.errors import Damaged
from service.client.files import StrPath, plain_name

#: Unpacked bytes that are allowed whatever the ratio.
FREE_BYTES: Final = 16 << 20
#: Beyond that, the largest ratio of unpacked to packed bytes. Deflate reaches 1032.
MAX_RATIO: Final = 100
#: Members, folders among them, that are allowed.
MAX_MEMBERS: Final = 10_000


@contextmanager
def reading_zip(path: Path, most_bytes: float | None = None) -> Iterator[zipfile.ZipFile]:
    """A zip whose members may be read. Damaged for one whose members are together longer than `most_bytes`, or than 100
    times the zip; and for what cannot be read of it within the block.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            total = sum(entry.file_size for entry in entries)
            ratio_bytes = max(FREE_BYTES, MAX_RATIO * path.stat().st_size)
            if len(entries) > MAX_MEMBERS or total > min(ratio_bytes, most_bytes or ratio_bytes):
                raise Damaged(f"{path.name} would unpack to {len(entries)} files of {total} bytes")
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise Damaged(f"{path.name} is no zip that can be read: {error}") from None


def unpack(path: Path, folder: StrPath, most_bytes: float | None = None) -> None:
    """Unpack the files of a zip into a folder. Damaged as `reading_zip`, or for a name that leads elsewhere."""
    with reading_zip(path, most_bytes) as archive:
        targets = {
            entry: Path(folder, *map(plain_name, entry.filename.split("/")))
            for entry in archive.infolist()
            if not entry.is_dir()
        }
        for entry, target in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as content, target.open("wb") as file:
                shutil.copyfileobj(content, file)
