"""Files that commands write."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

from service.cli.output import FAILED, print_json, show_error, usage_error
from service.cli.text.numbers import file_size
from service.client import SearchClient
from service.client.files import plain_name
from service.schemas.jobs import ArtifactView


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


def fetch(
    client: SearchClient, job_id: str, number: int, folder: Path, *, as_json: bool, force: bool = False
) -> None:
    """Download every file of a trial to `folder`; those that are there with the same content stay.

    Exit code 1 if the trial has none, 2, before anything is written, if a file with other content is in the way and
    `force` is false.
    """
    trial = client.trial(job_id, number)
    if not trial.artifacts:
        show_error(f"trial {number} is {trial.status} and has no files")
        raise typer.Exit(FAILED)
    written = []
    for artifact in trial.artifacts:
        plain_name(artifact.name)
    with writing(folder):
        present = {
            artifact.name for artifact in trial.artifacts if _is_there(folder / artifact.name, artifact)
        }
        _refuse_other_files(
            folder, [item.name for item in trial.artifacts if item.name not in present], force
        )
        for artifact in trial.artifacts:
            path = folder / artifact.name
            if artifact.name not in present:
                path = client.download(job_id, number, artifact.name, folder, size_bytes=artifact.size_bytes)
            written.append(
                {"file": os.fspath(path), "size_bytes": artifact.size_bytes, "sha256": artifact.sha256}
            )
            if not as_json:
                typer.echo(f"{os.fspath(path)}  {file_size(artifact.size_bytes)}")
    if as_json:
        print_json(written)


def _is_there(path: Path, artifact: ArtifactView) -> bool:
    """Whether a file has the artifact's content already."""
    if not path.is_file() or path.stat().st_size != artifact.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == artifact.sha256


def _refuse_other_files(folder: Path, names: Sequence[str], force: bool) -> None:
    in_the_way = [name for name in names if os.path.lexists(folder / name)]
    if in_the_way and not force:
        usage_error(
            f"{folder} has other files named {', '.join(in_the_way)}: choose another folder (-o), or overwrite"
            " them with --force"
        )
