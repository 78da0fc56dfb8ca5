"""Examples that stay in their file: rows of an array, read when they are used, so that memory holds few of them. Plain.

Arrays that `numpy.savez` wrote lie in the archive as they are, one row behind the other. Rows are read by their place;
nothing is mapped into memory, where a limit of the process would count it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from search.data.files import DataFault, row_layout
from search.data.inputs import Floats
from search.data.preprocessing import InputScaling, Preprocessing, followed, mean_axes, scaled

#: Bytes of an array, as 32-bit floats, from which its rows stay in the file where they can.
IN_MEMORY_BYTES: int = 1 << 30
#: Bytes, as 32-bit floats, that are read at once. The allocator hands larger blocks back to the system, page by page.
BLOCK_BYTES: Final = 16 << 20

_FLOAT_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Rows of an array in a file. `places`: of these rows in the file; None: all, in order."""

    path: Path
    offset: int  #: of the first row, in bytes
    file_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    places: NDArray[np.intp] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array of these rows."""
        return (len(self), *self.file_shape[1:])

    def __len__(self) -> int:
        return self.file_shape[0] if self.places is None else len(self.places)

    def __getitem__(self, index: Any) -> StoredRows:
        """Other rows of the file; nothing is read."""
        places = np.arange(self.file_shape[0]) if self.places is None else self.places
        return replace(self, places=places[index])

    def read(self, start: int = 0, stop: int | None = None) -> NDArray[Any]:
        """The numbers of the rows from `start` to `stop`."""
        places = range(len(self))[start:stop] if self.places is None else self.places[start:stop]
        rows: NDArray[Any] = np.empty((len(places), *self.file_shape[1:]), self.dtype)
        length = math.prod(self.file_shape[1:]) * self.dtype.itemsize
        views = rows.reshape(len(places), -1).view(np.uint8)
        file = os.open(self.path, os.O_RDONLY)
        try:
            for view, place in zip(views, places, strict=True):
                if os.preadv(file, [view.data], self.offset + int(place) * length) != length:
                    raise OSError(f"{self.path.name} is shorter than when the job was accepted")
        finally:
            os.close(file)
        return rows

    def blocks(self) -> Iterator[NDArray[Any]]:
        """All rows, as many at a time as memory should hold."""
        size = rows_at_once(self.file_shape[1:])
        return (self.read(start, start + size) for start in range(0, len(self), size))


@dataclass(frozen=True, slots=True)
class ScaledRows:
    """Rows of a file as a network takes them. An index reads them."""

    rows: StoredRows
    scaling: InputScaling
    example_shape: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array of these rows."""
        return (len(self.rows), *self.example_shape)

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """Of the numbers that are read."""
        return np.dtype(np.float32)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return 1 + len(self.example_shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Floats:
        stored = self.rows[index].read()
        return scaled(stored, self.scaling).reshape(len(stored), *self.example_shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of them, in memory."""
        return np.asarray(self[:], dtype)

    def blocks(self) -> Iterator[Floats]:
        """All rows, as many at a time as memory should hold."""
        size = rows_at_once(self.example_shape)
        return (self[start : start + size] for start in range(0, len(self), size))


def rows_at_once(example_shape: tuple[int, ...]) -> int:
    """How many examples of this shape are read at once."""
    return max(1, BLOCK_BYTES // (_FLOAT_BYTES * max(math.prod(example_shape), 1)))


def stored_rows(path: Path, name: str) -> StoredRows | None:
    """The rows of a large array of a `.npz`; None where it is small, compressed, or not stored row by row.

    Raises `DataFault` for a damaged file.
    """
    layout = row_layout(path, name)
    if layout is None or _FLOAT_BYTES * math.prod(layout.shape) <= IN_MEMORY_BYTES:
        return None
    return StoredRows(path, layout.offset, layout.shape, layout.dtype)


# --- what preprocessing learns --------------------------------------------------------------------------------------


def learned_from_rows(
    preprocessing: Preprocessing, training: StoredRows, largest: float | None
) -> InputScaling:
    """As `search.data.preprocessing.learned`, of rows that are read block by block."""
    return followed(_of_method(preprocessing, training, largest), preprocessing.steps, training.shape[-1])


def _of_method(preprocessing: Preprocessing, training: StoredRows, largest: float | None) -> InputScaling:
    match preprocessing.method:
        case "none":
            return InputScaling(1.0, (0.0,))
        case "standard":
            return _standardization(training, preprocessing.features)
        case "unit":
            return InputScaling(_divisor(training, largest), (0.0,))
        case "centered":
            return InputScaling(_divisor(training, largest), _means(training))


def _divisor(training: StoredRows, largest: float | None) -> float:
    if largest is not None:
        return largest or 1.0
    return max(float(np.abs(block.astype(np.float64)).max()) for block in training.blocks()) or 1.0


def _means(training: StoredRows) -> tuple[float, ...]:
    axes = mean_axes(len(training.shape))
    total = np.float64(0)
    for block in training.blocks():
        total = total + block.sum(axis=axes, dtype=np.float64)
    count = math.prod(training.shape) // np.size(total)
    return tuple(float(value) for value in np.atleast_1d(total / count).reshape(-1))


def _standardization(training: StoredRows, features: int) -> InputScaling:
    count = math.prod(training.shape) // features
    total, low, high = np.zeros(features), np.full(features, np.inf), np.full(features, -np.inf)
    for block in training.blocks():
        rows = block.reshape(-1, features)
        total += rows.sum(axis=0, dtype=np.float64)
        low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
    mean, squares = total / count, np.zeros(features)
    for block in training.blocks():
        squares += ((block.reshape(-1, features).astype(np.float64) - mean) ** 2).sum(axis=0)
    deviation = np.sqrt(squares / count)
    constant = low == high
    mean[constant] = low[constant]
    deviation[constant | (deviation == 0)] = 1.0
    repeats = 1 if features == 1 else training.shape[-1] // features
    subtract, divide_by = (tuple(map(float, np.tile(values, repeats))) for values in (mean, deviation))
    return InputScaling(divide_by, subtract)


def check_finite(rows: StoredRows, name: object) -> None:
    """Raise `DataFault` for numbers that are not finite as 32-bit floats."""
    if rows.dtype.kind != "f":
        return
    for block in rows.blocks():
        if not max(-float(block.min()), float(block.max())) <= np.finfo(np.float32).max:
            raise DataFault(f"{name} holds numbers that are not finite as 32-bit floats")
