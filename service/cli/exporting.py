"""What `fewbits export` does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from service.cli.connection import connect
from service.cli.files import show_written, writing
from service.cli.job_file import read_job
from service.cli.output import output_console, print_json, show, usage_error
from service.cli.text.exports import export_text, formats_text
from service.cli.yaml_file import parse_yaml
from service.client import SearchClient
from service.client.unpacking import unpack
from service.schemas.exports import ExportView, FormatView


def export_table(job_id: str, output: Path, url: str, *, as_json: bool) -> None:
    """Write all trials of a job to one file."""
    if output.suffix.lower() not in (".csv", ".parquet"):
        usage_error(f"{output} must end in .csv or .parquet")
    with connect(url) as client, writing(output):
        client.export(job_id, output)
    show_written(output, as_json=as_json)


def show_formats(job: str, trial: int | None, url: str, *, as_json: bool) -> None:
    """Show which formats take a trial, or every trial that the search of a job file can make."""
    with connect(url) as client:
        formats = client.formats(job, trial) if trial is not None else _formats_of_file(client, job)
        device = client.trial(job, trial).device if trial is not None else None
        show(formats, lambda views: formats_text(views, device), as_json=as_json)


def _formats_of_file(client: SearchClient, path: str) -> tuple[FormatView, ...]:
    return client.validate(read_job(Path(path))).exports


def export_trial(
    job_id: str,
    trial: int,
    name: str,
    options: Sequence[str],
    model: str,
    output: Path | None,
    url: str,
    *,
    as_json: bool,
) -> None:
    """Export a trial, wait for its proof, and unpack it in a folder (or keep the zip, if `output` ends in .zip)."""
    chosen = dict(_option(text) for text in options)
    target = output if output is not None else Path(f"{job_id}-{trial}-{name}")
    if target.suffix != ".zip" and target.is_dir() and any(target.iterdir()):
        usage_error(f"{target} is not empty: choose another folder with -o")
    with connect(url) as client, writing(target), tempfile.TemporaryDirectory() as scratch:
        view = client.export_model(job_id, trial, name, scratch, chosen, model=model)
        _place(Path(scratch) / f"{view.name}.zip", target, view)
    if as_json:
        print_json(view)
    else:
        output_console().print(export_text(view, os.fspath(target)))


def _place(packed: Path, target: Path, view: ExportView) -> None:
    if target.suffix == ".zip":
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(packed.read_bytes())
        return
    unpack(packed, target, view.unpacked_bytes)


def _option(text: str) -> tuple[str, str | int | float | bool]:
    """NAME=VALUE; the value is read as in a job file."""
    name, sign, value = text.partition("=")
    parsed = parse_yaml(value) if sign else None
    if not name or not isinstance(parsed, str | int | float | bool):
        usage_error(f"--option {text}: write NAME=VALUE")
    return name, parsed
