"""Runs the format `hls4ml`: the C++ emulation of the project, compiled by g++. numpy and ctypes only."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from quantization.export.context import Floats


def run(folder: Path, inputs: Floats) -> list[Any]:
    """The outputs of the compiled network, in float64: every number of a fixed-point type up to 53 bits."""
    network = json.loads((folder / "network.json").read_text())
    with tempfile.TemporaryDirectory() as scratch:
        library = _compiled(folder / "project", Path(scratch))
        sizes = _sizes(folder / "project")
        return _run(ctypes.CDLL(str(library)), inputs, sizes, len(network["outputs"]))


def _compiled(project: Path, scratch: Path) -> Path:
    """A library of the project's sources; without optimization, so that a network takes seconds."""
    library = scratch / "network.so"
    sources = [project / "firmware" / "network.cpp", project / "network_bridge.cpp"]
    folders = ["firmware", "firmware/ap_types", "firmware/weights", "firmware/nnet_utils"]
    command = ["g++", "-O1", "-fPIC", "-shared", "-std=c++17", "-w", "-fno-gnu-unique"]
    command += [f"-I{project / name}" for name in folders] + ["-o", str(library), *map(str, sources)]
    finished = subprocess.run(command, capture_output=True, text=True, cwd=project)
    if finished.returncode:
        raise RuntimeError(f"g++ did not compile the project: {finished.stderr[-1500:]}")
    return library


def _sizes(project: Path) -> list[int]:
    """Elements of every output."""
    bridge = (project / "network_bridge.cpp").read_text()
    double = bridge[bridge.index("void network_double") :]
    outputs = re.findall(r"convert_data<[^>]*>\((\w+)_ap, \1\)|convert_data<\w+, double, (\w+)>", double)
    defines = dict(re.findall(r"#define (\w+) (\d+)", (project / "firmware" / "defines.h").read_text()))
    return [int(np.prod([int(defines.get(word, word)) for word in part])) for part in outputs if part]


def _run(library: ctypes.CDLL, inputs: Floats, sizes: list[int], count: int) -> list[Any]:
    raise NotImplementedError


def versions() -> dict[str, str]:
    """Of g++."""
    said = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True).stdout
    return {"g++": said.splitlines()[0].rsplit(" ", 1)[-1]}
