"""Uploaded models and data sets as text."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from service.cli.text.numbers import file_size
from service.schemas.uploads import ArrayView, DatasetItem, DatasetView, ModelItem, ModelUploadView

#: Columns and classes that are listed.
_NAMED = 20


def upload_text(view: ModelUploadView | DatasetView) -> RenderableType:
    """An upload, and the line that a job needs to use it."""
    field = "model" if isinstance(view, ModelUploadView) else "data"
    return Text(
        f"{view.name}: {_contents(view)}, {file_size(view.size_bytes)}\n"
        f"{_meaning(view)}in a job:\n  {field}: {{kind: uploaded, id: {view.id}}}"
    )


def _meaning(view: ModelUploadView | DatasetView) -> str:
    """What columns and class numbers of a table are."""
    if not isinstance(view, DatasetView):
        return ""
    lines = [
        ("columns", [*view.columns]),
        ("classes", [f"{i}: {name}" for i, name in enumerate(view.classes)]),
    ]
    return "".join(
        f"{title}: {', '.join(names[:_NAMED])}{', ...' * (len(names) > _NAMED)}\n"
        for title, names in lines
        if names
    )


def _contents(view: ModelUploadView | DatasetView) -> str:
    if isinstance(view, DatasetView):
        return _arrays(view.arrays)
    weights = "with weights" if view.has_weights else "without weights"
    return f"{len(view.layers)} layers, {view.parameters} parameters, {weights}"


def _arrays(arrays: Sequence[ArrayView]) -> str:
    return ", ".join(f"{array.name} {'x'.join(map(str, array.shape))}" for array in arrays)


def model_table(models: Sequence[ModelItem]) -> RenderableType:
    """Built-in networks and uploaded models."""
    table = Table("name", "id", "description", box=None, header_style="bold")
    for model in models:
        table.add_row(Text(model.name), model.id or "", Text(model.description))
    return table


def dataset_table(datasets: Sequence[DatasetItem]) -> RenderableType:
    """Uploaded data sets."""
    if not datasets:
        return Text("no data sets yet: fewbits upload FILE")
    table = Table("name", "id", "size", "arrays", box=None, header_style="bold")
    for dataset in datasets:
        arrays = _arrays(dataset.arrays) if dataset.status == "complete" else "incomplete upload"
        table.add_row(Text(dataset.name), dataset.id, file_size(dataset.size_bytes), Text(arrays))
    return table
