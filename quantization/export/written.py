"""An export as it lies in a folder, and its manifest. Plain; nothing loads Keras."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from quantization.export.context import MANIFEST_FILE, ExportContext, Written
from quantization.export.formats.base import ExportFormat


@dataclass(frozen=True)
class Export:
    """A network written in a format. `files`: relative to the folder, sorted."""

    format: str
    options: Mapping[str, Any]
    folder: Path
    files: tuple[str, ...]
    written: Written


def with_manifest(chosen: ExportFormat, folder: Path, context: ExportContext, written: Written) -> Export:
    """Write the manifest beside what a writer wrote; `context` has the options of the format, all of them."""
    manifest = {
        "format": chosen.name,
        "title": chosen.title,
        "options": dict(context.options),
        "preprocessing": dict(context.preprocessing),
        **asdict(written),
    }
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2, allow_nan=False) + "\n")
    return Export(chosen.name, dict(context.options), folder, files_in(folder), written)


def files_in(folder: Path) -> tuple[str, ...]:
    """The files of a folder and those below it, relative to it, sorted."""
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return tuple(sorted(paths))
