"""What the commands share: a client whose errors become readable lines and exit codes, and printing."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import typer
import yaml
from pydantic import TypeAdapter
from rich.console import Console, RenderableType
from rich.markup import escape

from search.history import JobStatus
from service.cli import render
from service.cli.live import follow
from service.client import ClientError, Refused, SearchClient
from service.schemas.jobs import JobView, PointView
from service.settings import Settings

Seen = TypeVar("Seen")

FAILED = 1
USAGE = 2


def output() -> Console:
    """Where results go; wide enough for a table when nobody looks."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 120)


def errors() -> Console:
    """Where faults go."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def client(url: str) -> Iterator[SearchClient]:
    """A client of the service; its errors end the command with exit code 1 and a readable problem."""
    settings = Settings()
    try:
        with SearchClient(url or settings.base_url, key=settings.api_key or None) as opened:
            yield opened
    except Refused as error:
        render.problem(errors(), error.problem)
        raise typer.Exit(FAILED) from None
    except ClientError as error:
        errors().print(f"[red]error:[/] {escape(str(error))}")
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def read_job(path: Path) -> dict[str, Any]:
    """The job a YAML or JSON file states; "-" is standard input. Exit code 2 if it cannot be read."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
        document = yaml.safe_load(text)
        json.dumps(document, allow_nan=False)
    except OSError as error:
        usage(f"{path}: {error.strerror}")
    except (UnicodeDecodeError, yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        usage(f"{path} is neither YAML nor JSON: {error}")
    if not isinstance(document, dict):
        usage(f"{path} states no job: it must be a mapping of fields")
    return document


def usage(message: str) -> NoReturn:
    """Say that the command was wrong; exit code 2."""
    errors().print(f"[red]error:[/] {escape(message)}")
    raise typer.Exit(USAGE)


def given(**values: Any) -> dict[str, Any]:
    """Those of the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Faults of the file system end the command with exit code 2."""
    try:
        yield
    except OSError as error:
        usage(f"cannot write {path}: {error.strerror or error}")


def wrote(path: Path, *, as_json: bool) -> None:
    """Say which file was written, and how large it is."""
    size = path.stat().st_size
    if as_json:
        print_json({"file": os.fspath(path), "size_bytes": size})
    else:
        typer.echo(f"{os.fspath(path)}  {render.bytes_of(size)}")


def show(value: Seen, draw: Callable[[Seen], RenderableType], *, as_json: bool) -> None:
    """Print one answer."""
    if as_json:
        print_json(value)
    else:
        output().print(draw(value))


def show_many(
    values: Sequence[Seen], draw: Callable[[Sequence[Seen]], RenderableType], *, as_json: bool
) -> None:
    """Print a list of answers."""
    show(values, draw, as_json=as_json)


def print_json(value: object) -> None:
    """Print an answer as the service gave it."""
    typer.echo(TypeAdapter(Any).dump_json(value, indent=2).decode())


def show_points(
    client: SearchClient, job_id: str, points: Sequence[PointView], title: str, *, as_json: bool
) -> None:
    """Print measured trials, costs beside the job's reference."""
    if as_json:
        print_json(points)
    else:
        output().print(render.points(client.job(job_id), points, title))


def submitted(job: JobView, url: str) -> None:
    """Say that a job was taken, and how to follow it."""
    console = output()
    for warning in job.warnings:
        errors().print(f"[yellow]warning:[/] {escape(warning)}")
    console.print(
        f"job {job.id} is {job.status}: {render.size(job.space_size)} assignments, "
        f"{job.progress.total} trials"
    )
    console.print(f"follow it:  fewbits watch {job.id}\ndashboard:  {url}/#/jobs/{job.id}", soft_wrap=True)


def watch(client: SearchClient, job_id: str, *, as_json: bool) -> None:
    """Follow a job to its end; exit code 1 unless it ends done."""
    console = errors() if as_json else output()
    job = follow(client, job_id, console)
    if as_json:
        print_json(job)
    elif job.best is not None:
        console.print(render.points(job, client.best(job_id, 5), "Best by score"))
    if job.status != JobStatus.DONE:
        errors().print(f"[red]job {job.id} {job.status}:[/] {escape(job.reason or 'no reason was given')}")
        raise typer.Exit(FAILED)


def fetch(client: SearchClient, job_id: str, number: int, folder: Path, *, as_json: bool) -> None:
    """Download every file of a trial."""
    trial = client.trial(job_id, number)
    if not trial.artifacts:
        errors().print(f"[red]error:[/] trial {number} is {trial.status} and has no files")
        raise typer.Exit(FAILED)
    written = []
    with writing(folder):
        for artifact in trial.artifacts:
            path = client.download(job_id, number, artifact.name, folder)
            written.append(
                {"file": os.fspath(path), "size_bytes": artifact.size_bytes, "sha256": artifact.sha256}
            )
            if not as_json:
                typer.echo(f"{os.fspath(path)}  {render.bytes_of(artifact.size_bytes)}")
    if as_json:
        print_json(written)
