"""What commands print: results to standard output, errors to standard error, and the exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, TypeVar

import typer
from pydantic import TypeAdapter
from rich.console import Console, RenderableType
from rich.text import Text

from service.cli.text.jobs import submitted_text
from service.cli.text.trials import point_table
from service.client import SearchClient
from service.schemas.jobs import JobView, PointView

Shown = TypeVar("Shown")

FAILED: Final = 1
USAGE: Final = 2
_WIDTH: Final = 120  #: wide enough for a table where standard output is not a terminal


def output_console() -> Console:
    """Prints results."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)


def error_console() -> Console:
    """Prints errors and notes."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def show(value: Shown, draw: Callable[[Shown], RenderableType], *, as_json: bool) -> None:
    """Print an answer: as JSON, or as `draw` renders it."""
    if as_json:
        print_json(value)
    else:
        output_console().print(draw(value))


def print_json(value: object) -> None:
    """Print an answer as the service sent it."""
    typer.echo(TypeAdapter(Any).dump_json(value, indent=2).decode())


def show_points(
    client: SearchClient, job_id: str, points: Sequence[PointView], title: str, *, as_json: bool
) -> None:
    """Print measured trials; a table compares their costs with the reference of the job."""
    if as_json:
        print_json(points)
    else:
        output_console().print(point_table(client.job(job_id), points, title))


def show_submitted(job: JobView, url: str, *, as_json: bool) -> None:
    """Print a job that was just submitted, and how to follow it; its warnings go to standard error."""
    if as_json:
        print_json(job)
        return
    for warning in job.warnings:
        error_console().print(Text.assemble(("warning: ", "yellow"), warning))
    output_console().print(submitted_text(job, url), soft_wrap=True)


def warn_without_worker(client: SearchClient) -> None:
    """Say on standard error that jobs wait, if no worker runs them."""
    state = client.ready().worker
    if state != "ok":
        error_console().print(Text.assemble(("warning: ", "yellow"), f"the job waits for a worker: {state}"))


def show_error(message: str) -> None:
    """Print an error."""
    error_console().print(Text.assemble(("error: ", "red"), message))


def usage_error(message: str) -> NoReturn:
    """Print an error of the user; ends the command with exit code 2."""
    show_error(message)
    raise typer.Exit(USAGE)
