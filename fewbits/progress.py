"""The progress of a search, and its result, where they are looked at: a notebook, a terminal, or a log."""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console

from service.cli.charted import charts_page, columns_of, trial_page
from service.cli.live import follow
from service.cli.report import collect
from service.cli.text.jobs import best_text, waiting_text
from service.cli.text.numbers import cost, duration, energy
from service.client import ClientError, SearchClient
from service.schemas.jobs import JobView, PointView, TrialView


def followed(client: SearchClient, job_id: str, *, is_shown: bool) -> JobView:
    """Wait for the end of a job: bar and front grow in a notebook, a bar on a terminal, lines tell of it elsewhere."""
    if not is_shown:
        return client.wait(job_id)
    if (display := _notebook_display()) is None:
        return follow(client, job_id, Console(file=sys.stdout, highlight=False))
    widget = Widget(client, display)
    return client.wait(job_id, progress=widget.show)


def live(job: JobView | str, client: SearchClient) -> JobView:
    """Show a job in a notebook's cell until it has ended, and return it then: progress, time left, best trial, front.

    `job`: a job or its id. The cell is updated in place. On a terminal it is a bar, elsewhere lines. An interrupt ends
    the showing, not the job.
    """
    return followed(client, job if isinstance(job, str) else job.id, is_shown=True)


class Widget:
    """A cell that shows how a job goes on; `display` is updated in place."""

    def __init__(self, client: SearchClient, display: Any) -> None:
        self._client = client
        self._display = display
        self._front: tuple[PointView, ...] = ()
        self._measured = -1

    def show(self, job: JobView) -> None:
        """Show the job as it is now; the front is read again only when trials were measured since."""
        if job.progress.done != self._measured and job.best is not None:
            try:
                self._front = self._client.pareto(job.id).items
                self._measured = job.progress.done
            except ClientError:  # the next news asks again
                pass
        self._display.update(Html(progress_html(job, self._client.url) + front_svg(job, self._front)))


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


#: Pixels of the small front: width, height, and the margin inside.
_WIDTH: Final = 320
_HEIGHT: Final = 110
_MARGIN: Final = 8


def front_svg(job: JobView, front: Sequence[PointView]) -> str:
    """A small picture of a front as steps over a logarithmic cost, the best trial marked; nothing without trials."""
    if not front:
        return ""
    costs = [math.log(max(point.cost, 1e-300)) for point in front]
    merits = [point.metric for point in front]
    xs = [_MARGIN + share * (_WIDTH - 2 * _MARGIN) for share in _shares(costs)]
    ys = [_HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN) for share in _shares(merits)]
    path = f"M{xs[0]:.1f} {ys[0]:.1f}"
    path += "".join(f"H{x:.1f}V{y:.1f}" for x, y in zip(xs[1:], ys[1:], strict=True))
    best = None if job.best is None else job.best.number
    dots = "".join(
        _dot(x, y, _point_text(job, point), is_best=point.number == best)
        for point, x, y in zip(front, xs, ys, strict=True)
    )
    ends = f"{_point_text(job, front[0])} … {_point_text(job, front[-1])}"
    label = html.escape(f"Pareto front of {len(front)} trials, {ends}")
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img" aria-label="{label}">'
        f'<path d="{path}" fill="none" stroke="#c94f00" stroke-width="1.6"/>{dots}</svg>'
        f"<div>front: {html.escape(ends)}</div>"
    )


def _dot(x: float, y: float, text: str, *, is_best: bool) -> str:
    radius, colour = (5, "#007a5a") if is_best else (3, "#c94f00")
    title = f"<title>{html.escape(text)}</title>"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}">{title}</circle>'


def _shares(values: Sequence[float]) -> list[float]:
    """Where each value lies between the smallest (0) and the largest (1)."""
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 0.5 for value in values]


def _point_text(job: JobView, point: PointView) -> str:
    return f"trial {point.number}: {job.metric_name} {point.metric:.4f} at {cost(point.cost, job.cost_unit)}"


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


def trial_html(job: JobView, trial: TrialView, url: str) -> str:
    """A trial for a notebook: its numbers in a line, and the dashboard's charts of its layers."""
    measured = "" if trial.metric is None else f", {html.escape(job.metric_name)} {trial.metric:.4f}"
    priced = "" if trial.cost is None else f" at {html.escape(cost(trial.cost, job.cost_unit))}"
    page = f"{_page(job, url)}?trial={trial.number}"
    return (
        f"<div><b>Trial {trial.number}</b> of {html.escape(job.name or job.id)}: {html.escape(str(trial.status))}"
        f'{measured}{priced} (<a href="{page}" target="_blank" rel="noopener">dashboard</a>)</div>'
        f"{frame(trial_page(job, trial))}"
    )


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
    if getattr(shell, "kernel", None) is None:  # a terminal's shell has none
        return None
    from IPython.display import display

    return display(Html("starting"), display_id=True)
