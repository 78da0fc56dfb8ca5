"""Sending files, and showing what was sent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from service.cli import render
from service.client import SearchClient
from service.schemas.uploads import ArrayView, DatasetItem, DatasetView, ModelItem, ModelUploadView


def sent(client: SearchClient, file: Path, name: str | None) -> ModelUploadView | DatasetView:
    """The file, uploaded as what its name says it is."""
    if file.suffix.lower() == ".npz":
        return client.upload_dataset(file, name)
    return client.upload_model(file, name)


def advice(view: ModelUploadView | DatasetView) -> RenderableType:
    """What a job has to say to use an upload."""
    field = "model" if isinstance(view, ModelUploadView) else "data"
    lines = [f"{view.name}: {_contents(view)}, {render.bytes_of(view.size_bytes)}", "in a job:"]
    return Text("\n".join([*lines, f"  {field}: {{kind: uploaded, id: {view.id}}}"]))


def _contents(view: ModelUploadView | DatasetView) -> str:
    if isinstance(view, DatasetView):
        return _arrays(view.arrays)
    weights = "with weights" if view.has_weights else "without weights"
    return f"{len(view.layers)} layers, {view.parameters} parameters, {weights}"


def _arrays(arrays: Sequence[ArrayView]) -> str:
    return ", ".join(f"{array.name} {'x'.join(map(str, array.shape))}" for array in arrays)


def models(items: Sequence[ModelItem]) -> RenderableType:
    """A table of networks."""
    table = Table("name", "id", "what it is", box=None, header_style="bold")
    for model in items:
        table.add_row(Text(model.name), model.id or "", Text(model.description))
    return table


def datasets(items: Sequence[DatasetItem]) -> RenderableType:
    """A table of data sets."""
    if not items:
        return Text("no data sets yet: fewbits upload FILE.npz")
    table = Table("name", "id", "size", "arrays", box=None, header_style="bold")
    for data in items:
        told = _arrays(data.arrays) if data.status == "complete" else "not complete yet"
        table.add_row(Text(data.name), data.id, render.bytes_of(data.size_bytes), Text(told))
    return table
