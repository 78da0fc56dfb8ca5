"""Data files: `.npz` files, read in pieces so that memory stays bounded whatever they hold."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from search.data.files import DataFault, Header, checked_header, declared
from search.upload_file import check_npz_start
from search.uploads.archive import Archive, open_archive
from search.uploads.faults import UploadFault, shown

#: Arrays a file may hold.
MAX_ARRAYS: Final = 64
#: Bytes all arrays together may unpack to.
MAX_DATA_BYTES: Final = 8 << 30

#: Inputs of parts that nothing is trained on: x_test, x_val_left.
_OTHER_PART: Final = re.compile(r"x_(test|val|validation)(_|$)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}\.npy")
_MAX_HEADER: Final = 1 << 14
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """An array of a data file, and the range of its numbers."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    least: float
    largest: float


@dataclass(frozen=True, slots=True)
class CheckedData:
    """The contents of a checked data file."""

    arrays: tuple[ArrayInfo, ...]


def check_data(path: Path) -> CheckedData:
    """The contents of a file after reading all of it: types, shapes, sizes, checksums, no NaN. Raises UploadFault.

    Needs x_train, or x, or x_train_NAME of an input. A job decides which other arrays (y_train, x_test, ...) it needs.
    """
    with open(path, "rb") as file:
        check_npz_start(file.read(64))
    archive = open_archive(path, most_members=MAX_ARRAYS, most_bytes=MAX_DATA_BYTES)
    for name in archive.members:
        if not _NAME.fullmatch(name):
            raise UploadFault(
                "", f"holds {shown(name)}; the name of a member is that of its array, followed by .npy"
            )
    names = sorted(name.removesuffix(".npy") for name in archive.members)
    if not any(_may_be_trained_on(name) for name in names):
        raise UploadFault(
            "",
            "lacks x_train; it must hold x_train (or x; of several inputs x_train_NAME for each), and usually y_train,"
            " x_test, y_test",
        )
    try:
        headers = {name: _header(archive, name) for name in names}
        _check_counts(headers)
        return CheckedData(tuple(_read(archive, headers[name]) for name in names))
    except DataFault as error:
        raise UploadFault("arrays", str(error)) from error


def _may_be_trained_on(name: str) -> bool:
    """Whether an array is an input of the training part, or of a file that is a part by itself."""
    return name == "x" or (name.startswith("x_") and not _OTHER_PART.match(name))


def _check_counts(headers: Mapping[str, Header]) -> None:
    """Refuse a part whose arrays have different numbers of rows, or none."""
    for part in ("_train", "_test", "_val", "_validation", ""):
        rows = {name: header.examples for name, header in headers.items() if _is_of(name, part)}
        if rows and (len(set(rows.values())) != 1 or not min(rows.values())):
            counts = ", ".join(f"{name} {count}" for name, count in rows.items())
            raise DataFault(f"its arrays must have one row for each example: {counts}")


def _is_of(name: str, part: str) -> bool:
    """Whether an array belongs to a part, by its name; x and y alone are those of files without parts."""
    stems = [f"{stem}{part}" for stem in ("x", "y", "sample_weight")]
    return name in stems or (bool(part) and name.startswith(tuple(f"{stem}_" for stem in stems)))


def _header(archive: Archive, name: str) -> Header:
    member = archive.members[f"{name}.npy"]
    start = io.BytesIO(_start(archive, member.name))
    try:
        shape, _, dtype = declared(start)
    except DataFault as error:
        raise DataFault(f"{name} {error}") from error
    except (ValueError, EOFError, SyntaxError, OSError, RecursionError, MemoryError, TokenError) as error:
        raise DataFault(f"{name} is not an array: its header cannot be read") from error
    return checked_header(Header(name, shape, dtype), member.size - start.tell())


def _start(archive: Archive, name: str) -> bytes:
    """The first bytes of a member, which hold the header."""
    start = b""
    for chunk in archive.chunks(name):
        start += chunk
        if len(start) >= _MAX_HEADER:
            break
    return start[:_MAX_HEADER]


def _read(archive: Archive, header: Header) -> ArrayInfo:
    """Read an array once, piece by piece."""
    least, largest, place = math.inf, -math.inf, 0
    for piece in _pieces(archive, header):
        if header.dtype.kind == "f":
            _check_finite(header, piece, place)
        least, largest = min(least, float(piece.min())), max(largest, float(piece.max()))
        place += piece.size
    return ArrayInfo(header.name, header.shape, header.dtype.name, least, largest)


def _check_finite(header: Header, piece: NDArray[Any], place: int) -> None:
    """Refuse numbers that are not finite, as stored or as 32-bit floats; the error states the first."""
    fine = np.abs(piece) <= np.finfo(np.float32).max  # False for NaN
    if not fine.all():
        first = int(np.argmin(fine))
        where = f"number {place + first} as stored, counted from 0"
        raise DataFault(f"{header.name} holds {piece[first]} ({where}): not finite as a 32-bit float")


def _pieces(archive: Archive, header: Header) -> Iterator[NDArray[Any]]:
    """The numbers of an array in the order they are stored, without the header."""
    member = archive.members[f"{header.name}.npy"]
    width = header.dtype.itemsize
    skip = member.size - math.prod(header.shape) * width
    pending = b""
    for chunk in archive.chunks(member.name):
        pending += chunk[skip:]
        skip = max(0, skip - len(chunk))
        whole = len(pending) // width * width
        if whole >= _PIECE:
            yield np.frombuffer(pending[:whole], header.dtype)
            pending = pending[whole:]
    if pending:
        yield np.frombuffer(pending, header.dtype)
