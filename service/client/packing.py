"""Several files of one data set as one upload."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def packed(files: Sequence[Path]) -> Iterator[Path]:
    """An archive of these files, stored without compression: of `.npy` files it is a `.npz`. Removed at the end."""
    arrays = all(file.suffix.lower() == ".npy" for file in files)
    with tempfile.TemporaryDirectory(prefix="fewbits-upload-") as folder:
        path = Path(folder) / ("data.npz" if arrays else "data.zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for file in files:
                archive.write(file, file.name)
        yield path
