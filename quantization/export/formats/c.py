"""`c`: one C99 file and its header: integers only, no allocation. Plain."""

from __future__ import annotations

from typing import Final

from quantization.export.formats.base import ExportFormat, Option
from quantization.export.formats.integers import PROGRAM_OPTIONS
from quantization.export.legality.integers import INTEGERS as RULES

C: Final = ExportFormat(
    name="c",
    title="C99 for microcontrollers, integers only",
    legality=RULES,
    exact=True,
    packages=("keras",),
    extra="worker",
    programs=("gcc",),
    options={
        **PROGRAM_OPTIONS,
        "weights": Option(
            "packed",
            "packed: to their bits, a convolution unpacks each row once; bytes: faster, more flash and less RAM",
            ("packed", "bytes"),
        ),
    },
)
