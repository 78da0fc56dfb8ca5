"""Writes the format `tflite`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quantization.export.context import ExportContext, Written
from quantization.export.errors import ExportRefused
from quantization.export.legality.base import Refusal
from quantization.export.writers.tflite_model.model import NotInTflite, tflite_model


def write(model: Any, folder: Path, context: ExportContext) -> Written:
    """Write `model.tflite`. Raises `ExportRefused`."""
    try:
        document = tflite_model(model, context.only_samples, packs=bool(context.options["int4"]))
    except NotInTflite as error:
        raise ExportRefused("tflite", [Refusal(error.layer, error.reason)]) from error
    (folder / "model.tflite").write_bytes(document.data)
    return Written(
        stage="logits",
        inexact=document.inexact,
        notes=(
            "Inputs and outputs are 8-bit codes; their scales stand in the file.",
            "A runtime may round ties of its sums up where the model rounds them to even.",
        ),
    )
