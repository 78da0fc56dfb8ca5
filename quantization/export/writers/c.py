"""Writes the format `c`: a C99 file and its header, integers only, with a main that runs test vectors."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from quantization.export.c_code.network import HEADER_FILE, MAIN_FILE, SOURCE_FILE, c_network
from quantization.export.c_code.plan import ctype
from quantization.export.context import ExportContext, Written
from quantization.export.writers.programs import WrittenProgram, written_program
from quantization.integer.program import run

INPUT_FILE: Final = "network.json"
#: The compiler that measures the code, where it is found, and for what.
ARM_COMPILER: Final = "arm-none-eabi-gcc"
ARM_FLAGS: Final = ("-mcpu=cortex-m4", "-mthumb", "-Os", "-std=c99", "-Wall", "-Wextra", "-Werror")
_VECTORS: Final = 8


def write(model: Any, folder: Path, context: ExportContext) -> Written:
    """Write `network.c`, `network.h`, `main.c` and `network.json`, which says how inputs become codes."""
    written = written_program("c", model, context)
    program = written.program
    codes = written.network.encode(context.only_samples[:_VECTORS]).codes
    packed = context.options.get("weights", "packed") == "packed"
    files = c_network(program, codes, run(program, codes)[program.result], packed=packed)
    for name, text in ((HEADER_FILE, files.header), (SOURCE_FILE, files.source), (MAIN_FILE, files.main)):
        (folder / name).write_text(text)
    document = {
        "input": {
            "encoding": written.encoding,
            "quantizer": str(written.network.input_quantizer),
            "preprocessing": dict(context.preprocessing),
            "shape": list(program.source.shape),
            "type": ctype(program.source).removesuffix("_t"),
        },
        "output": {"shape": list(program.tensors[program.result].shape), **_output(written)},
    }
    (folder / INPUT_FILE).write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    sections = arm_sections(folder)
    note = (
        f"flash: constants alone; {ARM_COMPILER} is not installed, which would measure the code"
        if sections is None
        else f"compiled by {ARM_COMPILER} for Cortex-M4 (-Os): {_listed(sections)}"
    )
    flash_bytes = files.constant_bytes if sections is None else sections["text"] + sections["data"]
    return Written(
        stage="logits",
        inexact=written.inexact,
        figures=written.figures(
            flash_bytes=flash_bytes,
            ram_bytes=files.ram_bytes,
            **{f"{name}_bytes": size for name, size in (sections or {}).items()},
        ),
        notes=(note,),
    )


def _listed(sections: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size:,} bytes" for name, size in sections.items())


def _output(written: WrittenProgram) -> dict[str, int | str]:
    tensor = written.program.tensors[written.program.result]
    return {
        "exponent": int(np.atleast_1d(tensor.exponent)[0]),
        "type": ctype(tensor).removesuffix("_t"),
    }


def arm_sections(folder: Path) -> dict[str, int] | None:
    """Section -> its bytes on a Cortex-M4: text, data and bss; None without a compiler for it."""
    if shutil.which(ARM_COMPILER) is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch) / "network.o"
        command = [ARM_COMPILER, *ARM_FLAGS, "-c", str(folder / SOURCE_FILE), "-o", str(target)]
        subprocess.run(command, check=True, capture_output=True)
        names, sizes = subprocess.run(
            [ARM_COMPILER.replace("gcc", "size"), str(target)], check=True, capture_output=True, text=True
        ).stdout.splitlines()[:2]
    return dict(zip(names.split()[:3], map(int, sizes.split()[:3]), strict=True))
