"""`integers`: JSON and npz with all that an engine of integers needs, and such an engine in numpy. Plain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from quantization.export.formats.base import ExportFormat, Option
from quantization.export.legality.integers import INTEGERS as RULES

#: Of the formats that are integer programs.
PROGRAM_OPTIONS: Final[Mapping[str, Option]] = {
    "input": Option(
        "auto", "quantizer of the input where the model has none; auto: 8 bits that hold the data"
    )
}

INTEGERS: Final = ExportFormat(
    name="integers",
    title="JSON and npz of integers, with an engine in numpy",
    legality=RULES,
    exact=True,
    packages=("keras",),
    extra="worker",
    options=PROGRAM_OPTIONS,
)
