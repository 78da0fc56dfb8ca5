"""Runs the format `hls4ml`: the C++ emulation of the project, compiled by g++. numpy and ctypes only."""

from __future__ import annotations

import ctypes
import functools
import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quantization.export.context import Examples, Floats, by_input


def run(folder: Path, inputs: Examples) -> list[Any]:
    """The outputs of the compiled network, in float64: every number of a fixed-point type up to 53 bits."""
    network = json.loads((folder / "network.json").read_text())
    return _run(_library(folder.resolve() / "project"), by_input(inputs), network["output_shapes"])


@functools.cache
def _library(project: Path) -> ctypes.CDLL:
    """The emulation, compiled once for all runs of a process."""
    with tempfile.TemporaryDirectory() as scratch:
        return ctypes.CDLL(str(_compiled(project, Path(scratch))))


def _compiled(project: Path, scratch: Path) -> Path:
    """A library of the project's sources; without optimization, so that a network takes seconds."""
    library = scratch / "network.so"
    sources = [project / "firmware" / "network.cpp", project / "network_bridge.cpp"]
    folders = ["firmware", "firmware/ap_types", "firmware/weights", "firmware/nnet_utils"]
    command = ["g++", "-O0", "-fPIC", "-shared", "-std=c++17", "-w", "-fno-gnu-unique"]
    command += [f'-DWEIGHTS_DIR="{project / "firmware" / "weights"}"']
    command += [f"-I{project / name}" for name in folders] + ["-o", str(library), *map(str, sources)]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=project)
    if finished.returncode:
        raise RuntimeError(f"g++ did not compile the project: {finished.stderr[-1500:]}")
    return library


def _run(library: ctypes.CDLL, inputs: Sequence[Floats], shapes: list[list[int]]) -> list[Any]:
    examples = [np.ascontiguousarray(part, np.float64) for part in inputs]
    outputs = [np.zeros((len(examples[0]), *shape)) for shape in shapes]
    pointer = ctypes.POINTER(ctypes.c_double)
    for index in range(len(examples[0])):
        arrays = [part[index] for part in (*examples, *outputs)]
        library.network_double(*(array.ctypes.data_as(pointer) for array in arrays))
    return outputs


def versions() -> dict[str, str]:
    """Of g++."""
    said = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout
    return {"g++": said.splitlines()[0].rsplit(" ", 1)[-1]}
