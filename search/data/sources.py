"""Where the files of a job's data lie. Plain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from search.data.files import DataFault, inside
from search.data.split import SplitFault
from search.spec.job import Data, MnistData, NpzData
from search.spec.resolved import DataFile

MNIST_FILE: Final = "mnist.npz"

#: Data that lie in files.
StoredFiles = MnistData | NpzData | DataFile


@dataclass(frozen=True, slots=True)
class PartFiles:
    """The file of the training part, which may hold the others, and those of parts with a file of their own."""

    train: Path
    validation: Path | None = None
    test: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return tuple(path for path in (self.train, self.validation, self.test) if path is not None)


def pointer(data: Data, fault: Exception | None = None) -> str:
    """JSON pointer to the field that names the data, or the one that a fault names."""
    field = fault.field if isinstance(fault, DataFault | SplitFault) else ""
    return (
        f"/data/{field}"
        if field
        else {"npz": "/data/file", "uploaded": "/data/id"}.get(data.kind, "/data/kind")
    )


def test_fraction(data: StoredFiles) -> float:
    """The share held out for the test where the files have no test part; MNIST's always has one."""
    return 0.0 if isinstance(data, MnistData) else data.test_fraction


def part_files(data: StoredFiles, data_dir: Path) -> PartFiles:
    """The files of the data. Raises `DataFault` for a file that is missing, or whose path leads out of the folder."""
    if isinstance(data, DataFile):
        return PartFiles(data.file)
    if isinstance(data, MnistData):
        try:
            return PartFiles(inside(data_dir, MNIST_FILE))
        except DataFault as error:
            raise DataFault(f"{error}; put the file that keras.datasets.mnist downloads there") from error
    return PartFiles(
        inside(data_dir, data.file),
        _of_part(data_dir, "validation_file", data.validation_file),
        _of_part(data_dir, "test_file", data.test_file),
    )


def _of_part(data_dir: Path, field: str, file: str | None) -> Path | None:
    if file is None:
        return None
    try:
        return inside(data_dir, file)
    except DataFault as error:
        raise DataFault(str(error), field=field) from error
