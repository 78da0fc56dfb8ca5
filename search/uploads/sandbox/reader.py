"""The process inside the sandbox that makes arrays of tables and images, started with an empty environment.

The request is JSON on standard input, the answer JSON on standard output; the arrays are written as a `.npz`. It drops
what privileges it can before it opens the file. What it answers is trusted as little as the file.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np

from search.uploads.sandbox.confinement import confine, confine_calls, confine_files
from search.uploads.sandbox.images import IMAGES, of_folders
from search.uploads.sandbox.tables import TABLES, csv_table, of_tables, parquet_table, read_table
from search.uploads.sandbox.values import PARTS, Converted, Options, RefusedData

_MAX_MEMBERS: Final = 300_000
#: Names that the answer lists.
_MAX_NAMES: Final = 1000


def convert(path: Path, options: Options) -> Converted:
    """The arrays of a table, or of an archive of tables or images. Raises RefusedData."""
    try:
        return _converted(path, options)
    except RefusedData:
        raise
    except (ValueError, TypeError, ArithmeticError, LookupError, NotImplementedError, OSError) as error:
        raise RefusedData(f"cannot be read: {str(error)[:200]}") from error


def _converted(path: Path, options: Options) -> Converted:
    with open(path, "rb") as file:
        start = file.read(4)
    if start == b"PAR1":
        return of_tables({"": [parquet_table(path.read_bytes(), "the file")]}, options, "parquet")
    if start[:2] == b"PK":
        return _of_archive(path, options)
    return of_tables({"": [csv_table(path.read_bytes(), "the file")]}, options, "csv")


def _of_archive(path: Path, options: Options) -> Converted:
    try:
        with zipfile.ZipFile(path) as archive:
            return _of_members(archive, options)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise RefusedData(f"is a zip archive that cannot be read: {str(error)[:200]}") from error


def _of_members(archive: zipfile.ZipFile, options: Options) -> Converted:
    names = sorted(entry.filename for entry in archive.infolist() if not _is_noise(entry))
    if not 1 <= len(names) <= _MAX_MEMBERS:
        raise RefusedData(f"holds {len(names)} files; 1 to {_MAX_MEMBERS} are allowed")
    kinds = {_kind(name) for name in names}
    if len(kinds) > 1:
        raise RefusedData("holds images as well as tables; upload one kind of data")
    if kinds == {"images"}:
        return of_folders(archive, names, options)
    tables: dict[str, list[Any]] = {}
    for name in names:
        part = "" if len(names) == 1 else _part_of_file(name)
        tables.setdefault(part, []).append(read_table(archive.read(name), name))
    return of_tables(tables, options, "parquet" if names[0].endswith(".parquet") else "csv")


def _is_noise(entry: zipfile.ZipInfo) -> bool:
    """Folders, and what the archivers of some systems add."""
    path = PurePosixPath(entry.filename)
    return entry.is_dir() or "__MACOSX" in path.parts or path.name in (".DS_Store", "Thumbs.db")


def _kind(name: str) -> str:
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in IMAGES:
        return "images"
    if suffix in TABLES:
        return "tables"
    allowed = ", ".join((*TABLES, *IMAGES))
    raise RefusedData(
        f"holds {name[:100]!r}: files of an archive must be tables or images in class folders ({allowed}), or all of"
        " them arrays (.npy)"
    )


def _part_of_file(name: str) -> str:
    for word in re.split(r"[-_. ]", PurePosixPath(name).stem.lower()):
        if word in PARTS:
            return PARTS[word]
    raise RefusedData(
        f"holds {name[:100]!r} beside other tables: start the name of each by its part, train, val or test"
    )


# --- request and answer ----------------------------------------------------------------------------------------------


def _load_all() -> None:
    """Load everything that reading needs, while the other folders can still be read. ImportError."""
    import PIL.BmpImagePlugin
    import PIL.JpegImagePlugin
    import PIL.PngImagePlugin
    import PIL.WebPImagePlugin
    import pyarrow.csv
    import pyarrow.parquet

    np.savez(io.BytesIO(), np.zeros(1))
    PIL.Image.preinit()
    pyarrow.set_cpu_count(1)


def main() -> None:
    """Carry out the request on standard input; answer on standard output."""
    request = json.load(sys.stdin)
    folder = Path(request["folder"])
    answer: dict[str, Any] = {"notes": confine(request["limits"])}
    try:
        _load_all()
    except ImportError as error:
        answer["missing"] = str(error.name).partition(".")[0]
    answer["notes"] += confine_files(folder) + confine_calls()
    try:
        if "missing" not in answer:
            answer |= _answered(request, folder)
    except RefusedData as error:
        answer["refused"] = str(error)
    except MemoryError:
        answer["refused"] = "needs more memory than is allowed for reading data"
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(answer))


def _answered(request: Mapping[str, Any], folder: Path) -> dict[str, Any]:

    stated = request["options"]
    size = stated.get("image_size")
    options = Options(
        target=stated.get("target"),
        ignore=tuple(stated.get("ignore", ())),
        task=stated.get("task", "auto"),
        image_size=None if size is None else (int(size[0]), int(size[1])),
    )
    converted = convert(folder / request["file"], options)
    np.savez(folder / request["target"], **converted.arrays)
    return {
        "format": converted.format,
        "columns": converted.columns[:_MAX_NAMES],
        "classes": converted.classes[:_MAX_NAMES],
    }


if __name__ == "__main__":
    main()
