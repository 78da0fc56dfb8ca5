"""What commands print: results to standard output, errors to standard error, and the exit codes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NoReturn, TypeVar

import typer
from pydantic import TypeAdapter
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderableType, RenderHook, RenderResult
from rich.segment import Segment
from rich.text import Text

from service.cli.text.jobs import submitted_text
from service.cli.text.trials import point_table
from service.client import SearchClient
from service.schemas.jobs import JobView, PointView

Shown = TypeVar("Shown")

FAILED: Final = 1
USAGE: Final = 2
#: Control characters but tab and newline; text directions, which reorder what is shown.
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_WIDTH: Final = 120  #: wide enough for a table where standard output is not a terminal


def output_console() -> Console:
    """Prints results."""
    return _plain(Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH))


def error_console() -> Console:
    """Prints errors and notes."""
    return _plain(Console(stderr=True, highlight=False, soft_wrap=True))


def _plain(console: Console) -> Console:
    """The console, which shows no control characters but its own: names and reasons are other people's text."""
    console.push_render_hook(_WithoutControls())
    return console


class _WithoutControls(RenderHook):
    """Wraps what is printed."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Each as one without control characters."""
        return [_Harmless(renderable) for renderable in renderables]


class _Harmless:
    """What is printed, its control characters shown as escapes."""

    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self._renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


def harmless(text: str) -> str:
    """The text with control characters, such as those that begin a terminal's escapes, as Python writes them."""
    return _CONTROLS.sub(lambda match: ascii(match[0])[1:-1], text)


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
