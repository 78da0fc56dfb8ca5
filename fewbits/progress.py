"""The progress of a search, and its result, where they are looked at: a notebook, a terminal, or a log."""

from __future__ import annotations

import html
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from service.cli.charted import charts_page, columns_of
from service.cli.live import follow
from service.cli.report import collect
from service.cli.text.jobs import best_text, waiting_text
from service.cli.text.numbers import duration, energy
from service.client import SearchClient
from service.schemas.jobs import JobView, PointView


def followed(client: SearchClient, job_id: str, *, is_shown: bool) -> JobView:
    """Wait for the end of a job: a bar moves in a notebook and on a terminal, lines tell of changes elsewhere."""
    if not is_shown:
        return client.wait(job_id)
    if (display := _notebook_display()) is None:
        return follow(client, job_id, Console(file=sys.stdout, highlight=False))
    return client.wait(job_id, progress=lambda job: display.update(Html(progress_html(job, client.url))))


def progress_html(job: JobView, url: str) -> str:
    """The progress of a job for a notebook, with a link to its page."""
    progress = job.progress
    left = "" if progress.eta_s is None else f", {duration(progress.eta_s)} left"
    waits = "" if job.waiting is None else f"<br>{html.escape(waiting_text(job.waiting).plain)}"
    return (
        f'<div><progress max="1" value="{progress.fraction:.4f}" style="width: 20em"></progress> '
        f"{progress.done} of {progress.total} trials{html.escape(left)}, {html.escape(str(job.status))} "
        f'(<a href="{_page(job, url)}" target="_blank" rel="noopener">dashboard</a>)<br>'
        f"{html.escape(best_text(job).plain)}{waits}</div>"
    )


def result_html(job: JobView, front: Sequence[PointView], best: int, url: str) -> str:
    """The Pareto front of a job for a notebook: as a table, the best trial marked, and in the dashboard's chart.

    The chart is a page of its own in a frame without any rights; its sliders rank the front, on which the best trial of
    every goal is.
    """
    columns = columns_of(front, job.reference_cost, job.cost_unit)
    rows = "".join(
        f"<tr{' style=font-weight:bold' if point.number == best else ''}><td>{point.number}</td>"
        f"<td>{point.metric:.4f}</td><td>{html.escape(energy(point.energy_pj))}</td>"
        f"<td>{point.bits:,}</td><td>{point.score:.4f}</td></tr>"
        for point in front
    )
    return (
        f"<table><caption>Pareto front of {html.escape(job.name or job.id)}; reference "
        f"{html.escape(energy(job.reference_energy_pj))} "
        f'(<a href="{_page(job, url)}" target="_blank" rel="noopener">dashboard</a>)</caption>'
        f"<thead><tr><th>trial</th><th>{html.escape(job.metric_name)}</th><th>energy</th><th>bits</th><th>score</th>"
        f"</tr></thead><tbody>{rows}</tbody></table>{frame(charts_page(job, columns))}"
    )


def plot_html(client: SearchClient, job_id: str) -> str:
    """All trials in the dashboard's charts, in a frame: they can be pointed at, filtered and ranked by another goal."""
    collected = collect(client, job_id)
    analysis = None if collected.analysis is None else collected.analysis.model_dump(mode="json")
    points = collected.points.model_dump(mode="json", exclude={"state"})
    return frame(charts_page(collected.job, points, collected.trials, analysis))


def frame(page: str) -> str:
    """A page inside a notebook's cell: it runs its own scripts and reaches nothing outside."""
    style = "width:100%;height:620px;border:0"
    return f'<iframe sandbox="allow-scripts allow-downloads" style="{style}" srcdoc="{html.escape(page)}"></iframe>'


def _page(job: JobView, url: str) -> str:
    return html.escape(f"{url}/#/jobs/{job.id}")


class Html:
    """HTML that a notebook shows; `text` is what it shows."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_html_(self) -> str:
        return self.text


def _notebook_display() -> Any:
    """A cell's output that can be updated; None outside of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None or type(shell).__name__ != "ZMQInteractiveShell":
        return None
    from IPython.display import display

    return display(Html("starting"), display_id=True)
