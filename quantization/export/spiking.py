"""Writes a spiking network in a format, and compares the simulators. Plain numpy."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from quantization.export.comparison import Proof, compare_outputs
from quantization.export.context import ExportContext, Floats, Written
from quantization.export.errors import ExportRefused
from quantization.export.formats import SPIKING_FORMATS, export_format
from quantization.export.formats.base import Options
from quantization.export.legality.base import Refusal
from quantization.export.legality.xylo import spiking_refusals
from quantization.export.run import Outputs
from quantization.export.written import Export, with_manifest
from quantization.spiking.simulator import simulate
from quantization.spiking.specification import XyloParameters, XyloSpecification


def refusals(network: XyloParameters | XyloSpecification) -> dict[str, list[Refusal]]:
    """Format -> what it cannot express of a spiking network; empty where it takes all."""
    refused = spiking_refusals(network.weights_in, network.weights_rec, network.weights_out)
    return dict.fromkeys(SPIKING_FORMATS, refused)


def export_spiking(
    network: XyloParameters, name: str, folder: Path, context: ExportContext, options: Options | None = None
) -> Export:
    """Write the integers of a spiking network into an empty folder, in the format of this name.

    Raises `UnknownFormat`, `InvalidOption`, `MissingPackage` and `ExportRefused`, before anything is written.
    """
    chosen = export_format(name, "spiking")
    complete = replace(context, options=chosen.checked(options or {}))
    refused = refusals(network)[name]
    if refused:
        raise ExportRefused(name, refused)
    chosen.check_installed()
    writer = importlib.import_module(f"quantization.export.writers.{name}")
    folder.mkdir(parents=True, exist_ok=True)
    written: Written = writer.write(network, folder, complete)
    return with_manifest(chosen, folder, complete, written)


def compare_spiking(network: XyloParameters, export: Export, events: Floats, outputs: Outputs) -> Proof:
    """The proof of the readouts' events that an export counted on these events (examples, steps, inputs)."""
    expected: Any = simulate(network, events).counts
    return compare_outputs(export, events, [expected], outputs, (True,))
