"""Writes the format `integers`: the program as JSON, its arrays as npz, and the engine that runs them with numpy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

import quantization.engine
from quantization.export.context import ExportContext, Written
from quantization.export.integers import smallest_type
from quantization.export.writers.programs import WrittenProgram, written_program
from quantization.integer.program import ProgramTensor, Step

NETWORK_FILE: Final = "network.json"
ARRAYS_FILE: Final = "arrays.npz"
ENGINE_FILE: Final = "engine.py"


def write(model: Any, folder: Path, context: ExportContext) -> Written:
    """Write `network.json`, `arrays.npz` and `engine.py`."""
    written = written_program("integers", model, context)
    keys = _keys(written.program.steps)
    arrays = {
        keys[number, name]: array
        for number, step in enumerate(written.program.steps)
        for name, array in step.arrays.items()
    }
    typed: dict[str, Any] = {key: array.astype(smallest_type(array)) for key, array in arrays.items()}
    np.savez_compressed(folder / ARRAYS_FILE, **typed)
    document = network_document(written, context)
    (folder / NETWORK_FILE).write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    shutil.copyfile(str(quantization.engine.__file__), folder / ENGINE_FILE)
    return Written(stage="logits", inexact=written.inexact, figures=written.figures())


def network_document(written: WrittenProgram, context: ExportContext) -> dict[str, Any]:
    """The program as JSON values; arrays are named by their key in the npz."""
    program = written.program
    keys = _keys(program.steps)
    return {
        "input": {
            **_tensor(program.source),
            "encoding": written.encoding,
            "quantizer": str(written.network.input_quantizer),
            "preprocessing": dict(context.preprocessing),
        },
        "steps": [_step(number, step, keys) for number, step in enumerate(program.steps)],
        "result": program.result,
        "result_exponent": int(np.atleast_1d(program.tensors[program.result].exponent)[0]),
    }


def _keys(steps: Sequence[Step]) -> dict[tuple[int, str], str]:
    """(step, name) -> key of the array in the npz; equal arrays, as the steps of a loop have, are stored once."""
    stored: dict[tuple[tuple[int, ...], bytes], str] = {}
    keys: dict[tuple[int, str], str] = {}
    for number, step in enumerate(steps):
        for name, array in step.arrays.items():
            keys[number, name] = stored.setdefault((array.shape, array.tobytes()), f"{number}/{name}")
    return keys


def _step(number: int, step: Step, keys: Mapping[tuple[int, str], str]) -> dict[str, Any]:
    tensor = _tensor(step.output)
    return {
        "op": step.op,
        "layer": step.layer,
        "inputs": list(step.inputs),
        "output": tensor.pop("name"),
        **tensor,
        "accumulator_bits": step.peak.bit_length() + 1,
        "numbers": dict(step.numbers),
        "arrays": {name: keys[number, name] for name in step.arrays},
    }


def _tensor(tensor: ProgramTensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "exponent": tensor.exponent.tolist(),
        "low": tensor.low,
        "high": tensor.high,
        "bits": tensor.bits,
    }
