"""A job followed live: a progress bar on a terminal, a line for each change elsewhere."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.table import Table

from service.cli import render
from service.client import SearchClient
from service.schemas.jobs import JobView


def follow(client: SearchClient, job_id: str, console: Console) -> JobView:
    """Show the job until it has ended; the job then."""
    if not console.is_terminal:
        return client.wait(job_id, progress=_Lines(console).show)
    with Live(console=console, refresh_per_second=4, transient=False) as live:
        return client.wait(job_id, progress=lambda job: live.update(_panel(job)), interval_s=0.5)


class _Lines:
    """Prints a line when something worth a line has changed."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: tuple[object, ...] = ()

    def show(self, job: JobView) -> None:
        """Print the job's state unless the line would say the same."""
        state = (job.status, job.progress.done)
        if state != self._last:
            self._last = state
            self._console.print(render.progress_text(job), soft_wrap=True)


def _panel(job: JobView) -> Table:
    table = Table.grid(padding=(0, 1))
    table.add_row(render.job_line(job))
    table.add_row(render.bar(job))
    table.add_row(render.best_text(job))
    return table
