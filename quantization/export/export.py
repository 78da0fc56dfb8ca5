"""Writes a model in a format: checked first, refused by name, and listed with what the writer says of it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from costmodel.network import Network, read_network
from quantization.export.context import MANIFEST_FILE, ExportContext, Written
from quantization.export.errors import ExportRefused
from quantization.export.formats import export_format
from quantization.export.formats.base import Options
from quantization.export.legality.base import Quantizers
from quantization.models.convert import plain_description, read_quantizers


@dataclass(frozen=True)
class Export:
    """A model written in a format. `files`: relative to the folder, sorted."""

    format: str
    options: Mapping[str, Any]
    folder: Path
    files: tuple[str, ...]
    written: Written


def network_of(model: keras.Model) -> tuple[Network, Quantizers]:
    """A model as plain data: the network that it quantizes, and the quantizers."""
    network = read_network(plain_description(model))
    return network, read_quantizers(model)


def export_model(
    model: keras.Model, name: str, folder: Path, context: ExportContext, options: Options | None = None
) -> Export:
    """Write a built, quantized model into an empty folder, in the format of this name.

    Raises `UnknownFormat`, `InvalidOption`, `MissingPackage`, and `ExportRefused` naming each layer that the format
    cannot express, before anything is written.
    """
    chosen = export_format(name)
    complete = chosen.checked(options or {})
    refusals = chosen.refusals(*network_of(model))
    if refusals:
        raise ExportRefused(name, refusals)
    chosen.check_installed()
    writer = importlib.import_module(f"quantization.export.writers.{name}")
    folder.mkdir(parents=True, exist_ok=True)
    written: Written = writer.write(model, folder, replace(context, options=complete))
    manifest = {
        "format": name,
        "title": chosen.title,
        "options": complete,
        "preprocessing": dict(context.preprocessing),
        **asdict(written),
    }
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2, allow_nan=False) + "\n")
    return Export(name, complete, folder, files_in(folder), written)


def files_in(folder: Path) -> tuple[str, ...]:
    """The files of a folder and those below it, relative to it, sorted."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return tuple(sorted(paths))
