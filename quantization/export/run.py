"""Runs exports by their format's own runtime, in a fresh process: `python -m quantization.export.run`.

The process imports numpy, `quantization.export.runners.FORMAT` and what that imports: Keras only where the format is
Keras'.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from quantization.export.context import Examples, Floats, by_input
from quantization.export.errors import RunFailed

_ROOT: Final = Path(__file__).parents[2]
_INPUTS: Final = "inputs.npz"
_FOLDER: Final = "folder"
_OUTPUTS: Final = "outputs"
_VERSIONS: Final = "versions.json"
#: Characters of what a runtime wrote that an error shows, from the end.
_SHOWN: Final = 2000


@dataclass(frozen=True)
class Outputs:
    """What an export computed: its outputs in the model's order, and the versions of what ran it."""

    arrays: tuple[Floats, ...]
    versions: dict[str, str]


def run_export(name: str, folder: Path, inputs: Examples, *, timeout_s: float = 600.0) -> Outputs:
    """Run an export on inputs (float32, as the model reads them) in a fresh process; as `run_exports`."""
    return run_exports(name, [(folder, inputs)], timeout_s=timeout_s)[0]


def run_exports(
    name: str, runs: Sequence[tuple[Path, Examples]], *, timeout_s: float = 600.0
) -> list[Outputs]:
    """Run several exports of a format, each on its inputs, in one fresh process.

    The interpreter is this one, or that of `FEWBITS_<FORMAT>_PYTHON` where the runtime has an environment of its own.
    Raises `RunFailed` with the end of what the runtime wrote.
    """
    python = os.environ.get(f"FEWBITS_{name.upper()}_PYTHON", sys.executable)
    with tempfile.TemporaryDirectory() as scratch:
        places = [Path(scratch) / str(index) for index in range(len(runs))]
        for place, (folder, inputs) in zip(places, runs, strict=True):
            place.mkdir()
            np.savez(place / _INPUTS, *(np.asarray(array, np.float32) for array in by_input(inputs)))
            (place / _FOLDER).write_text(str(folder.resolve()))
        command = [python, "-m", "quantization.export.run", name, *map(str, places)]
        environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
        try:
            finished = subprocess.run(
                command, capture_output=True, text=True, env=environment, timeout=timeout_s, cwd=scratch
            )
        except subprocess.TimeoutExpired:
            raise RunFailed(f"format {name!r}: its runtime did not end within {timeout_s:g} s") from None
        if finished.returncode:
            said = (finished.stderr or finished.stdout)[-_SHOWN:].strip()
            raise RunFailed(f"format {name!r}: its runtime ended with {finished.returncode}: {said}")
        return [_read(place / _OUTPUTS) for place in places]


def _read(folder: Path) -> Outputs:
    paths = sorted(folder.glob("*.npy"))
    return Outputs(
        tuple(np.load(path, allow_pickle=False) for path in paths),
        json.loads((folder / _VERSIONS).read_text()),
    )


def _inputs(path: Path) -> Examples:
    with np.load(path, allow_pickle=False) as stored:
        arrays = tuple(stored[name] for name in stored.files)
    return arrays[0] if len(arrays) == 1 else arrays


def main(name: str, *places: str) -> None:
    """Run exports here: each place has inputs and the folder of an export, and gets outputs and versions."""
    runner: Any = importlib.import_module(f"quantization.export.runners.{name}")
    for place in map(Path, places):
        outputs = runner.run(Path((place / _FOLDER).read_text()), _inputs(place / _INPUTS))
        results = place / _OUTPUTS
        results.mkdir()
        for index, array in enumerate(outputs):
            np.save(results / f"{index:03}.npy", np.asarray(array))
        (results / _VERSIONS).write_text(json.dumps(runner.versions()))


if __name__ == "__main__":
    main(*sys.argv[1:])
