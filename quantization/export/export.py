"""Writes a model in a format: checked first, refused by name, and listed with what the writer says of it."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import keras

from costmodel.network import Network, read_network
from quantization.export.context import ExportContext, Written
from quantization.export.errors import ExportRefused
from quantization.export.formats import export_format
from quantization.export.formats.base import Options
from quantization.export.legality.base import Quantizers
from quantization.export.written import Export, with_manifest
from quantization.models.convert import plain_description, read_quantizers


def network_of(model: keras.Model) -> tuple[Network, Quantizers]:
    """A model as plain data: the network that it quantizes, and the quantizers."""
    network = read_network(plain_description(model))
    return network, read_quantizers(model)


def export_model(
    model: keras.Model, name: str, folder: Path, context: ExportContext, options: Options | None = None
) -> Export:
    """Write a built, quantized model into an empty folder, in the format of this name.

    Raises `UnknownFormat`, also for one of spiking networks, `InvalidOption`, `MissingPackage`, and `ExportRefused`
    naming each layer that the format cannot express, before anything is written.
    """
    chosen = export_format(name, "layers")
    complete = chosen.checked(options or {})
    network, quantizers = network_of(model)
    refusals = chosen.refusals(network, quantizers)
    if refusals:
        raise ExportRefused(name, refusals)
    chosen.check_installed()
    writer = importlib.import_module(f"quantization.export.writers.{name}")
    folder.mkdir(parents=True, exist_ok=True)
    written: Written = writer.write(model, folder, replace(context, options=complete))
    notes = (*written.notes, *chosen.chip_notes(network, quantizers))
    return with_manifest(chosen, folder, replace(context, options=complete), replace(written, notes=notes))
