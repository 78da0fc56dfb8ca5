"""Tables and images made into the arrays that jobs read, once, in a process without privileges."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from search.upload_file import LOCAL, PARQUET, Conversion, UploadFault, is_text

log = logging.getLogger(__name__)

_ROOT: Final = Path(__file__).parents[2]
_CODE: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from search.uploads.sandbox.reader import main; main()"
)
_SOURCE, _TARGET = "source", "data.npz"
_WALL_S: Final = 540
_CPU_S: Final = 500
_MEMORY_BYTES: Final = 6 << 30
_FILE_BYTES: Final = 9 << 30
_ANSWER_BYTES: Final = 1 << 20

#: Endings of the files of an archive that is converted.
CONVERTED: Final = (".csv", ".tsv", ".parquet", ".png", ".jpg", ".jpeg", ".bmp", ".webp")

#: The whole environment of the reader.
_ENVIRONMENT: Final = {
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
}


@dataclass(frozen=True, slots=True)
class Converted:
    """The arrays of a file that was converted, not checked yet; what columns of x and class numbers mean."""

    path: Path
    format: str
    columns: tuple[str, ...]
    classes: tuple[str, ...]


def is_converted(path: Path) -> bool:
    """Whether a file is a table, or an archive of tables or images, and so no `.npz`."""
    with open(path, "rb") as file:
        start = file.read(64)
    if not start.startswith(LOCAL):
        return start.startswith(PARQUET) or is_text(start)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.lower() for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return False  # the check of a `.npz` says what is wrong
    return any(name.endswith(CONVERTED) for name in names) and not any(
        name.endswith(".npy") for name in names
    )


def convert(path: Path, conversion: Conversion, folder: Path) -> Converted:
    """The file as a `.npz` in `folder`, which is empty and the only one that the reader sees.

    Raises UploadFault for a file that cannot be read, with the reason and what to do.
    """
    try:
        os.link(path, folder / _SOURCE)
    except OSError:  # on another file system
        shutil.copyfile(path, folder / _SOURCE)
    request = {
        "folder": str(folder),
        "file": _SOURCE,
        "target": _TARGET,
        "options": conversion.to_json(),
        "limits": {"AS": _MEMORY_BYTES, "CPU": _CPU_S, "FSIZE": _FILE_BYTES, "NOFILE": 64, "CORE": 0},
    }
    answer = _run(request, folder)
    for note in answer.get("notes", ()):
        log.warning("the sandbox is weaker than intended: %s", str(note)[:200])
    if "missing" in answer:
        raise UploadFault(
            "",
            f"is a table or an archive of images, which this server cannot read: it lacks the package"
            f" {str(answer['missing'])[:40]!r} (pip install 'fewbits[uploads]')",
        )
    if "refused" in answer:
        raise UploadFault("", str(answer["refused"])[:1000])
    target = folder / _TARGET
    if target.is_symlink() or not target.is_file():
        raise UploadFault("", "could not be converted: the sandbox wrote no file")
    names = [tuple(str(name)[:200] for name in answer.get(key, ())) for key in ("columns", "classes")]
    return Converted(target, str(answer["format"])[:20], names[0], names[1])


def _run(request: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """The reader's answer, which is trusted as little as the file."""
    answer_path, errors_path = folder / "answer.json", folder / "errors.txt"
    with answer_path.open("xb") as answer_file, errors_path.open("xb") as error_file:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-B", "-c", _CODE, str(_ROOT)],
                input=json.dumps(request).encode(),
                stdout=answer_file,  # files, not pipes: their size is limited
                stderr=error_file,
                cwd=folder,
                env={**_ENVIRONMENT, "TMPDIR": str(folder)},
                timeout=_WALL_S,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise UploadFault("", f"could not be converted within {_WALL_S} s") from None
    try:
        answer = json.loads(answer_path.read_bytes()[:_ANSWER_BYTES])
    except ValueError:
        answer = None
    complete = isinstance(answer, dict) and {"refused", "missing", "format"} & set(answer)
    if done.returncode or not isinstance(answer, dict) or not complete:
        log.warning("the sandbox ended with %s: %a", done.returncode, errors_path.read_bytes()[-500:])
        raise UploadFault("", "could not be converted within the limits of memory and time")
    return answer
