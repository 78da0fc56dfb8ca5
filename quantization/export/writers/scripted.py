"""What formats share that are a Python file with its arrays, run once to make the model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from quantization.export.errors import RunFailed


def write_source_files(folder: Path, text: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write `model.py` and `weights.npz`."""
    (folder / "model.py").write_text(text)
    named: dict[str, Any] = dict(arrays)
    np.savez(folder / "weights.npz", **named)


_RUN_ALL: Final = """
import os, runpy, sys
for folder in sys.argv[1:]:
    os.chdir(folder)
    runpy.run_path("model.py", run_name="__main__")
"""


@dataclass(frozen=True)
class _Source:
    """A file to be run: its folder, format and environment variables."""

    folder: Path
    name: str
    variables: Mapping[str, str]


#: Files that run later, all in one process; None: each at once.
_LATER: Final[ContextVar[list[_Source] | None]] = ContextVar("later", default=None)


@contextmanager
def in_one_process() -> Iterator[None]:
    """Let the files of a format that are written within run together at its end: its tool is loaded once for all."""
    sources: list[_Source] = []
    token = _LATER.set(sources)
    try:
        yield
    finally:
        _LATER.reset(token)
    if sources:
        _run(sources[0], ["-c", _RUN_ALL, *(str(source.folder.resolve()) for source in sources)], "")


def run_source(folder: Path, name: str, failure: str, **variables: str) -> None:
    """Run `model.py` by this interpreter, or the one that FEWBITS_<FORMAT>_PYTHON names.

    Raises `RunFailed` with `failure` and what it said.
    """
    source, later = _Source(folder, name, variables), _LATER.get()
    if later is None:
        _run(source, ["model.py"], f"{failure}: ")
    else:
        later.append(source)


def _run(source: _Source, arguments: list[str], failure: str) -> None:
    python = os.environ.get(f"FEWBITS_{source.name.upper()}_PYTHON", sys.executable)
    environment = {**os.environ, "PYTHONPATH": "", **source.variables}
    finished = subprocess.run(
        [python, *arguments], capture_output=True, text=True, cwd=source.folder, env=environment
    )
    if finished.returncode:
        raise RunFailed(f"format {source.name!r}: {failure}{finished.stderr.strip()[-2000:]}")
