"""The weights of an uploaded model, read in a process without privileges."""

from __future__ import annotations

import io
import json
import logging
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from search.uploads.archive import Archive, open_archive
from search.uploads.faults import UploadFault
from search.uploads.models import WEIGHTS, write_weights

log = logging.getLogger(__name__)

_CHILD: Final = Path(__file__).with_name("child.py")
_TARGET: Final = "weights.npz"
_WALL_S: Final = 300
_CPU_S: Final = 240
#: Address space of the child beside the weights themselves; numpy and h5py map about 400 MB.
_MEMORY_BYTES: Final = 1 << 30
_ANSWER_BYTES: Final = 1 << 16

#: The whole environment of the child.
_ENVIRONMENT: Final = {
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "HDF5_PLUGIN_PRELOAD": "::",  # HDF5 may load no filter from a file
    "HDF5_USE_FILE_LOCKING": "FALSE",
}


def read_weights(
    model: Path, expected: Mapping[str, tuple[int, ...]], folder: Path
) -> dict[str, NDArray[Any]]:
    """The arrays of a `.keras` file by their paths in it; `expected`: the shape of each.

    `folder` is empty and the only one that the child sees. Raises `UploadFault` for a file that has other arrays, or
    anything but plain arrays, or that cannot be read within the limits of memory and time.
    """
    _read(model, expected, folder)
    return _arrays(folder / _TARGET, expected)


def check_weights(model: Path, folder: Path, objects: int) -> None:
    """UploadFault unless the weights of a `.keras` file are at most `objects` groups and plain arrays, all of them in
    the file; `folder` is empty. No number is read.
    """
    _read(model, {}, folder, objects=objects)


def _read(model: Path, expected: Mapping[str, tuple[int, ...]], folder: Path, **more: int) -> None:
    """Have the child check and read a file."""
    write_weights(model, folder / WEIGHTS)
    size = sum(math.prod(shape) for shape in expected.values()) * 8
    request = {
        "folder": str(folder),
        "weights": WEIGHTS,
        "target": _TARGET,
        "expected": {path: list(shape) for path, shape in expected.items()},
        "limits": {
            "AS": _MEMORY_BYTES + 3 * size,
            "CPU": _CPU_S,
            "FSIZE": size + (1 << 20) + 1024 * len(expected),
            "NOFILE": 64,
            "NPROC": 0,
            "CORE": 0,
        },
        **more,
    }
    answer = _run_child(request, folder)
    for note in answer.get("notes", ()):
        log.warning("the sandbox is weaker than intended: %s", str(note)[:200])
    if "refused" in answer:
        raise UploadFault(WEIGHTS, str(answer["refused"])[:500])


def _run_child(request: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """The child's answer, which is trusted as little as the file."""
    answer_path, errors_path = folder / "answer.json", folder / "errors.txt"
    with answer_path.open("xb") as answer_file, errors_path.open("xb") as error_file:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-B", str(_CHILD)],
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
            raise UploadFault(WEIGHTS, f"could not be read within {_WALL_S} s") from None
    try:
        answer = json.loads(answer_path.read_bytes()[:_ANSWER_BYTES])
    except ValueError:
        answer = None
    if done.returncode or not isinstance(answer, dict) or not {"refused", "read"} & set(answer):
        log.warning("the sandbox ended with %s: %a", done.returncode, errors_path.read_bytes()[-500:])
        raise UploadFault(
            WEIGHTS, "could not be read within the limits of memory and time, or crashed the reader"
        )
    return answer


def _arrays(path: Path, expected: Mapping[str, tuple[int, ...]]) -> dict[str, NDArray[Any]]:
    """The arrays that the child wrote, checked like an untrusted file."""
    size = sum(math.prod(shape) for shape in expected.values()) * 8 + (1 << 20) + 1024 * len(expected)
    if path.is_symlink() or not path.is_file():
        raise UploadFault(WEIGHTS, "the sandbox wrote no file")
    archive = open_archive(path, most_members=max(len(expected), 1), most_bytes=size)
    if set(archive.members) != {f"{index}.npy" for index in range(len(expected))}:
        raise UploadFault(WEIGHTS, "the sandbox wrote other arrays")
    names = enumerate(expected.items())
    return {name: _array(archive, f"{index}.npy", shape, size) for index, (name, shape) in names}


def _array(archive: Archive, member: str, shape: tuple[int, ...], size: int) -> NDArray[Any]:
    try:
        array: NDArray[Any] = npy.read_array(io.BytesIO(archive.read(member, size)), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UploadFault(WEIGHTS, "the sandbox wrote no valid array") from error
    if array.shape != tuple(shape) or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise UploadFault(WEIGHTS, "the sandbox wrote an array that does not fit the model")
    return array
