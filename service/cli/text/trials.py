"""Trials as tables: all of a job, the measured ones, and their ranking under another goal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from service.cli.text.jobs import status_text
from service.cli.text.numbers import ENERGY, cost, cost_name, energy, metric, percent
from service.cli.text.tables import new_table
from service.schemas.jobs import JobSummary, PointView, TrialSummary
from service.schemas.rescore import RescoreView

_NOTHING_MEASURED = "no trial is measured yet"


def trial_table(trials: Sequence[TrialSummary], unit: str = ENERGY) -> RenderableType:
    """Trials of any status, with their cost in the job's unit."""
    if not trials:
        return Text("no trials yet")
    table = new_table(">trial", "status", ">score", ">metric", f">{cost_name(unit)}", ">epochs", "reason")
    for trial in trials:
        table.add_row(
            str(trial.number),
            status_text(trial.status),
            "-" if trial.score is None else f"{trial.score:.4f}",
            "-" if trial.metric is None else f"{trial.metric:.4g}",
            cost(trial.cost, unit),
            str(trial.epochs_done),
            Text(trial.reason or ""),
        )
    return table


def point_table(job: JobSummary, points: Sequence[PointView], title: str) -> RenderableType:
    """Measured trials, their costs compared with the reference of the job."""
    if not points:
        return Text(_NOTHING_MEASURED)
    besides = [name for name in (ENERGY, "bits") if name != job.cost_unit]
    columns = [job.metric_name, cost_name(job.cost_unit), "of reference", *map(cost_name, besides)]
    table = new_table(">trial", ">score", *(f">{column}" for column in columns), title=title)
    for point in points:
        table.add_row(
            str(point.number),
            f"{point.score:.4f}",
            metric(point.metric, job),
            cost(point.cost, job.cost_unit),
            percent(point.cost / job.reference_cost) if job.reference_cost else "-",
            *(energy(point.energy_pj) if name == ENERGY else f"{point.bits:,}" for name in besides),
        )
    return table


def ranking_table(view: RescoreView) -> RenderableType:
    """Trials ranked under another goal, best first; costs are compared with the reference under that goal."""
    if not view.items:
        return Text(_NOTHING_MEASURED)
    table = new_table(
        *(
            f">{name}"
            for name in ("trial", "score", view.metric_name, view.cost_unit, "of reference", "energy")
        ),
        title=f"Best by {view.cost_unit}",
    )
    for point in view.items:
        table.add_row(
            str(point.number),
            f"{point.score:.4f}",
            percent(point.metric) if view.metric_is_share else f"{point.metric:.4g}",
            f"{point.cost:,.0f}",
            percent(point.cost / view.reference_cost),
            energy(point.energy_pj),
        )
    return table
