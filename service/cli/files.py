"""Files that commands write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from service.cli.output import FAILED, print_json, show_error, usage_error
from service.cli.text.numbers import file_size
from service.client import SearchClient


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns errors of the file system into exit code 2; `path` is what could not be written."""
    try:
        yield
    except OSError as error:
        usage_error(f"cannot write {path}: {error.strerror or error}")


def show_written(path: Path, *, as_json: bool) -> None:
    """Print the name and size of a file that was written."""
    size_bytes = path.stat().st_size
    if as_json:
        print_json({"file": os.fspath(path), "size_bytes": size_bytes})
    else:
        typer.echo(f"{os.fspath(path)}  {file_size(size_bytes)}")


def fetch(client: SearchClient, job_id: str, number: int, folder: Path, *, as_json: bool) -> None:
    """Download every file of a trial to `folder`. Exit code 1 if the trial has none."""
    trial = client.trial(job_id, number)
    if not trial.artifacts:
        show_error(f"trial {number} is {trial.status} and has no files")
        raise typer.Exit(FAILED)
    written = []
    with writing(folder):
        for artifact in trial.artifacts:
            path = client.download(job_id, number, artifact.name, folder)
            written.append(
                {"file": os.fspath(path), "size_bytes": artifact.size_bytes, "sha256": artifact.sha256}
            )
            if not as_json:
                typer.echo(f"{os.fspath(path)}  {file_size(artifact.size_bytes)}")
    if as_json:
        print_json(written)
