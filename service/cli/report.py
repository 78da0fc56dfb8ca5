"""A job as one HTML file: the dashboard's charts, tables, and the best trial layer by layer.

Where scripts do not run, plain plots take the place of the charts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from service.cli import charted, charts
from service.cli.charts import Axis, Dot, Plot
from service.cli.pages import render
from service.cli.text import numbers
from service.cli.text.classes import PARTS, class_name, summary
from service.client import Refused, SearchClient
from service.schemas.analysis import AnalysisView
from service.schemas.classes import ClassMetricsView, ClassReportView
from service.schemas.jobs import JobView, PointsView, PointView, TrialView

_FIELDS: Final = ("number", "status", "metric", "cost", "score", "front", "energy_pj", "bits", "finished_s")
_PARTS: Final = ("operations", "parameters", "inputs", "outputs")
_SHOWN: Final = 15
#: Most trials whose layers the charts can show.
_IN_FULL: Final = 24


@dataclass(frozen=True)
class Collected:
    """The contents of a report."""

    job: JobView
    points: PointsView
    best: tuple[PointView, ...]
    front: tuple[PointView, ...]
    trial: TrialView | None
    trials: tuple[TrialView, ...]  #: of the front and with the best scores, in full
    analysis: AnalysisView | None
    classes: ClassReportView | None = None  #: of the best trial


def collect(client: SearchClient, job_id: str) -> Collected:
    """Read everything that a report needs from the service."""
    job = client.job(job_id)
    best = client.best(job_id, _SHOWN)
    try:
        analysis = client.analysis(job_id)
    except Refused:  # nothing is measured, or the service is older
        analysis = None
    try:
        classes = client.class_report(job_id, best[0].number) if best else None
    except Refused:  # its files were deleted, or the service is older
        classes = None
    front = client.pareto(job_id).items
    numbers = dict.fromkeys(point.number for point in (*best[:1], *front, *best))
    trials = tuple(client.trial(job_id, number) for number in list(numbers)[:_IN_FULL])
    return Collected(
        job=job,
        points=client.points(job_id, _FIELDS),
        best=best,
        front=front,
        trial=trials[0] if best else None,
        trials=trials,
        analysis=analysis,
        classes=classes,
    )


def page(collected: Collected, *, plain: bool = False) -> str:
    """The page; `plain`: with plots that need no script instead of the dashboard's charts."""
    job, trial = collected.job, collected.trial
    layers = () if trial is None else trial.layers
    return render(
        "report.html.j2",
        title=f"{job.name or job.model}: report",
        job=job,
        written=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, fewbits {version('fewbits')}",
        facts=[*_facts(job), *_effective(trial)],
        trials_plot=_trials_plot(collected),
        scores_plot=_scores_plot(collected.points),
        hypervolume_plot=_hypervolume_plot(collected.analysis, collected.points),
        hypervolume_box=_box(collected.analysis),
        best=collected.best,
        front=collected.front,
        trial=trial,
        parts=_PARTS,
        classes=_classes(collected.classes),
        class_name=class_name,
        largest_pj=max((layer.included_pj or 0.0 for layer in layers), default=0.0),
        definition=_yaml(job.spec),
        **({"script": None} if plain else _charts(collected)),
    )


def _charts(collected: Collected) -> dict[str, Any]:
    points, analysis = collected.points, collected.analysis
    return charted.parts(
        collected.job,
        points.model_dump(mode="json", exclude={"state"}),
        collected.trials,
        None if analysis is None else analysis.model_dump(mode="json"),
    )


def _classes(view: ClassReportView | None) -> list[tuple[str, str, ClassMetricsView, tuple[str, ...]]]:
    """By part that was measured: its title, its figures in a line, those by class, the classes' names."""
    if view is None:
        return []
    measured = {name: metrics for name in PARTS if (metrics := getattr(view, name)) is not None}
    return [(PARTS[name], summary(metrics), metrics, view.names) for name, metrics in measured.items()]


def _facts(job: JobView) -> list[tuple[str, str]]:
    facts = [
        ("model", job.model),
        ("data", job.data),
        ("assignments", numbers.space_size(job.space_size)),
        ("trials", f"{job.progress.done} of {job.progress.total}"),
        ("time", numbers.duration(job.progress.elapsed_s)),
        ("reference", numbers.cost(job.reference_cost, job.cost_unit)),
    ]
    if job.best is not None:
        share = job.best.cost / job.reference_cost if job.reference_cost else None
        facts += [
            ("best score", f"{job.best.score:.4f} (trial {job.best.number})"),
            (f"its {job.metric_name}", f"{job.best.metric:.4f}"),
            ("its energy", numbers.energy(job.best.energy_pj)),
            ("of the reference", numbers.percent(share)),
        ]
    for look in job.test_looks:
        figure = "" if look.metric is None else f"{look.metric:.4f}, "
        facts.append((f"trial {look.trial} on test data", f"{figure}{look.note}"))
    return facts


def _effective(trial: TrialView | None) -> list[tuple[str, str]]:
    """What the best trial costs with its trained weights, by the weights that share a width."""
    costs = {} if trial is None else trial.effective
    return [
        (
            f"with the bits its weights use, by {granularity}",
            f"{numbers.energy(cost.energy_pj)}, {numbers.cost(cost.ebops, 'ebops')},"
            f" {numbers.cost(cost.bits, 'bits')}",
        )
        for granularity, cost in costs.items()
    ]


def _yaml(spec: Any) -> str:
    import yaml

    return str(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=100))


# --- plots ---------------------------------------------------------------------------------------------------------


def _measured(points: PointsView) -> list[tuple[int, float, float, float, bool]]:
    """number, metric, cost, score, front of the trials that are done."""
    rows = zip(
        points.number, points.status, points.metric, points.cost, points.score, points.front, strict=True
    )
    return [
        (number, metric, cost, score, on_front)
        for number, status, metric, cost, score, on_front in rows
        if status == "done" and metric is not None and cost is not None and score is not None
    ]


def _trials_plot(collected: Collected) -> Plot | None:
    best = collected.best[0].number if collected.best else None
    unit = collected.job.cost_unit
    dots = [
        Dot(
            cost,
            metric,
            "best" if number == best else "kept" if on_front else "dot",
            f"trial {number}: {metric:.4f}, {numbers.cost(cost, unit)}, score {score:.4f}",
        )
        for number, metric, cost, score, on_front in _measured(collected.points)
    ]
    front = [(point.cost, point.metric) for point in collected.front]
    name = "energy of one inference" if unit == "energy_pj" else unit
    x = Axis(name, lambda value: numbers.cost(value, unit), is_log=True)
    y = Axis(collected.job.metric_name, _short)
    return charts.scatter(dots, front, x, y, mark=collected.job.reference_cost)


def _scores_plot(points: PointsView) -> Plot | None:
    highest: list[tuple[float, float]] = []
    for number, _, _, score, _ in _measured(points):
        if not highest or score > highest[-1][1]:
            highest.append((float(number), score))
    last = float(points.number[-1]) if points.number else 0.0
    return charts.steps(highest, last, Axis("trial", _whole), Axis("best score", _short))


def _hypervolume_plot(analysis: AnalysisView | None, points: PointsView) -> Plot | None:
    """Over trials where it rises with their numbers, else over the improvements in order."""
    if analysis is None or not analysis.steps:
        return None
    values = [(float(index), step.hypervolume) for index, step in enumerate(analysis.steps, start=1)]
    volumes = {step.number: step.hypervolume for step in analysis.steps}
    by_number = sorted((float(number), value) for number, value in volumes.items())
    rising = by_number if [value for _, value in by_number] == sorted(volumes.values()) else None
    x = Axis("trial" if rising else "improvement", _whole)
    last = float(points.number[-1]) if rising and points.number else values[-1][0]
    return charts.steps(rising or values, last, x, Axis("hypervolume", _short))


def _box(analysis: AnalysisView | None) -> str:
    """What the hypervolume is a share of; empty where nothing is measured."""
    if analysis is None or not analysis.steps:
        return ""
    box = analysis.box
    ceiling = numbers.cost(box.ceiling, analysis.cost_unit)
    return f"share of the box from a metric of {box.floor:.4g} to {box.top:.4g} and below a cost of {ceiling}"


def _short(value: float) -> str:
    return f"{value:.4g}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"
