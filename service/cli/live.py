"""Following a job: a progress bar on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from search.history import JobStatus
from service.cli.output import FAILED, error_console, output_console, print_json
from service.cli.text.jobs import best_text, job_line, progress_bar, progress_text, waiting_text
from service.cli.text.trials import point_table
from service.client import SearchClient
from service.schemas.jobs import JobView


def watch(client: SearchClient, job_id: str, *, as_json: bool) -> None:
    """Follow a job until it ends, then print its best trials; exit code 1 unless its status is done."""
    target = error_console() if as_json else output_console()
    job = follow(client, job_id, target)
    if as_json:
        print_json(job)
    elif job.best is not None:
        target.print(point_table(job, client.best(job_id, 5), "Best by score"))
    if job.status != JobStatus.DONE:
        reason = job.reason or "no reason was given"
        error_console().print(Text.assemble((f"job {job.id} {job.status}: ", "red"), reason))
        raise typer.Exit(FAILED)


def follow(client: SearchClient, job_id: str, console: Console) -> JobView:
    """Show the progress of a job until it has ended; the job as it is then."""
    if not console.is_terminal:
        return client.wait(job_id, progress=_Lines(console).show)
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        return client.wait(job_id, progress=lambda job: live.update(_panel(job)), interval_s=0.5)


class _Lines:
    """Prints a line whenever the status or the number of measured trials has changed, or a worker is missing."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: tuple[object, ...] = ()

    def show(self, job: JobView) -> None:
        """Print the progress of the job unless the last line says the same."""
        progress = (job.status, job.progress.done, job.waiting is None)
        if progress != self._last:
            self._last = progress
            self._console.print(progress_text(job), soft_wrap=True)
            if job.waiting is not None:
                self._console.print(waiting_text(job.waiting), soft_wrap=True)


def _panel(job: JobView) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_row(job_line(job))
    table.add_row(progress_bar(job))
    table.add_row(best_text(job))
    if job.waiting is not None:
        table.add_row(waiting_text(job.waiting))
    return table
