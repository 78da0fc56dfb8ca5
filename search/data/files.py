"""Reading untrusted `.npz` files: headers first, no pickles, nothing outside the data folder."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

ARRAYS: Final = ("x_train", "y_train", "x_test", "y_test")

#: Bytes an array may take in memory as 32-bit floats: 350,000 colour images of 32x32.
MAX_ARRAY_BYTES: Final = 4 * 2**30
#: The same of examples that are stored uncompressed and row by row, which are read as they are used.
MAX_STORED_BYTES: Final = 1 << 40
#: Examples an array may hold.
MAX_EXAMPLES: Final = 10_000_000
#: Arrays a file may hold; only those needed are read.
MAX_MEMBERS: Final = 1000

#: What the readers of zips, of deflated data and of numpy's headers raise for damaged bytes.
_UNREADABLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    tokenize.TokenError,
)


class DataFault(ValueError):
    """A data file cannot be used; the message tells its owner why. `field`: of the data, where it is not the usual."""

    def __init__(self, message: str, field: str = "") -> None:
        self.field = field
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Header:
    """What an array's header declares."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def examples(self) -> int:
        """Length of the first axis."""
        return self.shape[0]


def inside(folder: Path, file: str) -> Path:
    """The path of `file` in `folder`, links followed; raises `DataFault` unless a plain file lies there."""
    if "\0" in file:
        raise DataFault("a path cannot hold a zero byte")
    root = folder.resolve()
    try:
        path = (root / file).resolve()
        is_file = path.is_file()
    except (OSError, RuntimeError) as error:  # a name that is too long; links in a circle
        raise DataFault(f"{file[:100]!r} is not a usable path") from error
    if not path.is_relative_to(root):
        raise DataFault(f"{file!r} leads out of the server's data folder (FEWBITS_DATA_DIR)")
    if not is_file:
        raise DataFault(f"{file!r} is not a file in the server's data folder (FEWBITS_DATA_DIR)")
    return path


def read_headers(path: Path, names: Sequence[str] = ARRAYS) -> Mapping[str, Header]:
    """The headers of these arrays, checked against the sizes in the zip's directory. Raises `DataFault`."""
    with _opened(path) as archive:
        members = _members(archive, names)
        return {name: _header(archive, members[name], name) for name in names}


def stored_names(path: Path) -> tuple[str, ...]:
    """Names of all arrays in a file, sorted. Raises `DataFault`."""
    with _opened(path) as archive:
        return tuple(sorted(_members(archive, ())))


def read_array(path: Path, name: str) -> NDArray[Any]:
    """One whole array; its header is checked first, and so is its checksum. Raises `DataFault`."""
    with _opened(path) as archive:
        member = _members(archive, (name,))[name]
        check_size(_header(archive, member, name))
        with _reading(name), archive.open(member) as stream:
            array: NDArray[Any] = npy.read_array(stream, allow_pickle=False)
            stream.read(1)  # the end of the member, where its checksum is compared
            return array


#: Bytes of a zip member's own header before its name and extra field, and where it says how long these are.
_LOCAL_HEADER: Final = 30
_NAME_LENGTHS: Final = 26

#: Numbers that are read at once where only their range is asked for.
_CHUNK: Final = 1 << 20


def read_range(path: Path, name: str) -> tuple[float, float]:
    """The smallest and the largest number of an array, read in parts; (0, 0) for an empty one.

    Raises `DataFault`, also for numbers that are not finite.
    """
    with _opened(path) as archive:
        member = _members(archive, (name,))[name]
        dtype = _header(archive, member, name).dtype
        low, high = math.inf, -math.inf
        with _reading(name), archive.open(member) as stream:
            declared(stream)
            while part := stream.read(_CHUNK * dtype.itemsize):
                numbers = np.frombuffer(part[: len(part) // dtype.itemsize * dtype.itemsize], dtype)
                low = float(np.minimum(low, numbers.min()))  # which passes on what is no number
                high = float(np.maximum(high, numbers.max()))
    if low > high:
        return 0.0, 0.0
    if not max(-low, high) <= np.finfo(np.float32).max:
        raise DataFault(f"{name} holds numbers that are not finite as 32-bit floats")
    return low, high


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Where the rows of an array lie in a file, one behind the other. `offset`: of the first, in bytes."""

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def row_layout(path: Path, name: str) -> RowLayout | None:
    """Where an array's rows lie; None where it is compressed, or stored by columns. Raises `DataFault`."""
    with _opened(path) as archive:
        member = _members(archive, (name,))[name]
        if member.compress_type != zipfile.ZIP_STORED:
            return None
        with _reading(name), archive.open(member) as stream:
            shape, is_fortran, dtype = declared(stream)
            header = stream.tell()
    if is_fortran:
        return None
    with _reading(name), open(path, "rb") as file:
        file.seek(member.header_offset + _NAME_LENGTHS)
        lengths = int.from_bytes(file.read(2), "little") + int.from_bytes(file.read(2), "little")
    return RowLayout(member.header_offset + _LOCAL_HEADER + lengths + header, tuple(shape), dtype)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    if path.stat().st_size == 0:
        raise DataFault("the file is empty")
    try:
        archive = zipfile.ZipFile(path)
    except _UNREADABLE as error:
        raise DataFault("not a readable .npz file: it is damaged, cut short, or not a zip file") from error
    with archive:
        yield archive


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """What numpy and zipfile raise for a broken member, as a fault of the array."""
    try:
        yield
    except DataFault:
        raise
    except _UNREADABLE as error:
        raise DataFault(f"{name} cannot be read: the file is damaged or cut short") from error


def _members(archive: zipfile.ZipFile, required: Sequence[str]) -> Mapping[str, zipfile.ZipInfo]:
    entries = archive.infolist()
    if len(entries) > MAX_MEMBERS:
        raise DataFault(f"holds {len(entries)} arrays; at most {MAX_MEMBERS} are allowed")
    names = [entry.filename.removesuffix(".npy") for entry in entries]
    missing = [name for name in required if name not in names]
    if missing:
        present = ", ".join(sorted(names)[:20]) or "nothing"
        raise DataFault(f"lacks {', '.join(missing)}; it must hold {', '.join(required)} and holds {present}")
    twice = [name for name in required if names.count(name) > 1]
    if twice:
        raise DataFault(f"holds {', '.join(twice)} more than once")
    return dict(zip(names, entries, strict=True))


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Header:
    if member.flag_bits & 1:
        raise DataFault(f"{name} is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataFault(
            f"{name} is compressed in a way that numpy does not write; use numpy.savez or savez_compressed"
        )
    with _reading(name), archive.open(member) as stream:
        shape, is_fortran, dtype = declared(stream)
        by_rows = member.compress_type == zipfile.ZIP_STORED and not is_fortran
        limit = MAX_STORED_BYTES if by_rows else MAX_ARRAY_BYTES
        return checked_header(Header(name, shape, dtype), member.file_size - stream.tell(), limit)


def declared(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape of an array, whether it is stored by columns, and its type, as its header says.

    Raises DataFault, or what numpy raises for a damaged header.
    """
    version = npy.read_magic(stream)
    if version == (1, 0):
        return npy.read_array_header_1_0(stream)
    if version == (2, 0):
        return npy.read_array_header_2_0(stream)
    raise DataFault("holds arrays in a format newer than numpy's 2.0")


def check_size(header: Header, limit_bytes: int = MAX_ARRAY_BYTES) -> None:
    """Raise `DataFault` for an array that takes more bytes than this as 32-bit floats."""
    elements = math.prod(header.shape)
    if elements * 4 > limit_bytes:
        hint = "" if limit_bytes > MAX_ARRAY_BYTES else "; examples may have more, written by numpy.savez"
        raise DataFault(
            f"{header.name} declares {elements} numbers; at most {limit_bytes // 4} are allowed{hint}"
        )


def _in_words(dtype: np.dtype[Any]) -> str:
    """A type that is not read, in words of those who do not know numpy's."""
    if dtype.kind == "U":
        return f"text of up to {dtype.itemsize // 4} letters (number the classes from 0)"
    if dtype.kind == "S":
        return f"text of up to {dtype.itemsize} bytes (number the classes from 0)"
    words = {"c": "complex numbers", "M": "dates", "m": "durations", "V": "records with named fields"}
    return words.get(dtype.kind, dtype.name)


def checked_header(header: Header, data_bytes: int, limit_bytes: int = MAX_ARRAY_BYTES) -> Header:
    """The header itself; raises `DataFault` if its type is not numeric or its size is not that of the data.

    `limit_bytes`: what the array may take as 32-bit floats.
    """
    name, dtype = header.name, header.dtype
    if dtype.hasobject:
        raise DataFault(f"{name} holds Python objects (dtype object); only numbers are read")
    if dtype.kind not in "biuf":
        raise DataFault(f"{name} holds {_in_words(dtype)}; only integers and floating-point numbers are read")
    if not header.shape:
        raise DataFault(f"{name} is a single number; its first axis must count the examples")
    if header.examples > MAX_EXAMPLES:
        raise DataFault(f"{name} declares {header.examples} examples; at most {MAX_EXAMPLES} are allowed")
    elements = math.prod(header.shape)
    check_size(header, limit_bytes)
    if min(header.shape) < 0 or elements * dtype.itemsize != data_bytes:
        raise DataFault(f"{name} declares the shape {header.shape}, which is not the size of its data")
    return header
