"""Runs the format `c`: gcc compiles it, and the program is sent the codes of the inputs."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import numpy as np

from quantization.engine import encode
from quantization.export.context import Floats

FLAGS: Final = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic")


def run(folder: Path, inputs: Floats) -> list[Floats]:
    """The logits."""
    document = json.loads((folder / "network.json").read_text())
    source, output = document["input"], document["output"]
    codes = encode(source["encoding"], inputs).astype(source["type"])
    with tempfile.TemporaryDirectory() as scratch:
        program = compiled(folder, Path(scratch))
        answer = subprocess.run([str(program), "-"], input=codes.tobytes(), capture_output=True, check=True)
    numbers = np.frombuffer(answer.stdout, output["type"]).reshape(len(inputs), *output["shape"])
    return [np.ldexp(numbers.astype(np.float64), output["exponent"])]


def compiled(folder: Path, scratch: Path, *flags: str) -> Path:
    """The program of an export."""
    program = scratch / "network"
    files = [str(folder / name) for name in ("network.c", "main.c")]
    subprocess.run(["gcc", *FLAGS, *flags, *files, "-o", str(program)], check=True)
    return program


def versions() -> dict[str, str]:
    """Of the compiler."""
    answer = subprocess.run(["gcc", "-dumpfullversion"], capture_output=True, text=True, check=True)
    return {"gcc": answer.stdout.strip()}
