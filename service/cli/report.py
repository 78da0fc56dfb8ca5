"""A job as one HTML file: plots, tables, the best trial layer by layer. It loads nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from typing import Any, Final

from service.cli import charts
from service.cli.charts import Axis, Dot
from service.cli.report_style import STYLE
from service.cli.text import numbers
from service.client import Refused, SearchClient
from service.schemas.analysis import AnalysisView
from service.schemas.jobs import JobView, PointsView, PointView, TrialView

_FIELDS: Final = ("number", "status", "metric", "cost", "score", "front", "energy_pj", "bits")
_PARTS: Final = ("operations", "parameters", "inputs", "outputs")
_SHOWN: Final = 15


@dataclass(frozen=True)
class Collected:
    """What a report is made of."""

    job: JobView
    points: PointsView
    best: tuple[PointView, ...]
    front: tuple[PointView, ...]
    trial: TrialView | None
    analysis: AnalysisView | None


def collect(client: SearchClient, job_id: str) -> Collected:
    """Everything a report needs, asked of the service."""
    job = client.job(job_id)
    best = client.best(job_id, _SHOWN)
    try:
        analysis = client.analysis(job_id)
    except Refused:  # nothing is measured, or the service is older
        analysis = None
    return Collected(
        job=job,
        points=client.points(job_id, _FIELDS),
        best=best,
        front=client.pareto(job_id).items,
        trial=client.trial(job_id, best[0].number) if best else None,
        analysis=analysis,
    )


def page(found: Collected) -> str:
    """The whole file."""
    title = escape(f"{found.job.name or found.job.model}: report")
    parts = [
        _head(found.job),
        _plot("Energy against metric" if _is_energy(found) else "Cost against metric", _front(found)),
        _plot("Best score over trials", _scores(found.points)),
        _plot("Hypervolume over trials", _hypervolume(found.analysis, found.points)),
        _points_table("Best by score", found.best, found.job),
        _points_table("Pareto front", found.front, found.job),
        _layers(found.trial),
        _states(found.job),
        _specification(found.job),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _is_energy(found: Collected) -> bool:
    return found.job.cost_unit == "energy_pj"


# --- parts ---------------------------------------------------------------------------------------------------------


def _head(job: JobView) -> str:
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
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    reason = f"<p>{escape(job.reason)}</p>" if job.reason else ""
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, fewbits {version('fewbits')}"
    return (
        f"<h1>{escape(job.name or job.model)}</h1>"
        f'<p class="muted">job {escape(job.id)}, {escape(job.status)}; written {made}</p>{reason}<dl>{cells}</dl>'
    )


def _plot(title: str, svg: str) -> str:
    return f"<h2>{escape(title)}</h2>{svg}"


def _measured(points: PointsView) -> list[tuple[int, float, float, float, bool]]:
    """number, metric, cost, score, front of the trials that are done."""
    rows = zip(
        points.number, points.status, points.metric, points.cost, points.score, points.front, strict=True
    )
    return [
        (number, metric, cost, score, kept)
        for number, status, metric, cost, score, kept in rows
        if status == "done" and metric is not None and cost is not None and score is not None
    ]


def _front(found: Collected) -> str:
    best = found.best[0].number if found.best else None
    unit = found.job.cost_unit
    dots = [
        Dot(
            cost,
            metric,
            "best" if number == best else "kept" if kept else "dot",
            f"trial {number}: {metric:.4f}, {numbers.cost(cost, unit)}, score {score:.4f}",
        )
        for number, metric, cost, score, kept in _measured(found.points)
    ]
    front = [(point.cost, point.metric) for point in found.front]
    name = "energy of one inference" if _is_energy(found) else unit
    x = Axis(name, lambda value: numbers.cost(value, unit), is_log=True)
    legend = (
        '<p class="legend"><span><i class="dot"></i>trial</span><span><i class="kept"></i>Pareto front</span>'
        '<span><i class="best"></i>best score</span><span><i class="mark"></i>reference</span></p>'
    )
    y = Axis(found.job.metric_name, _short)
    return charts.scatter(dots, front, x, y, mark=found.job.reference_cost) + legend


def _scores(points: PointsView) -> str:
    highest: list[tuple[float, float]] = []
    for number, _, _, score, _ in _measured(points):
        if not highest or score > highest[-1][1]:
            highest.append((float(number), score))
    last = float(points.number[-1]) if points.number else 0.0
    return charts.steps(highest, last, Axis("trial", _whole), Axis("best score", _short))


def _hypervolume(analysis: AnalysisView | None, points: PointsView) -> str:
    grown = [] if analysis is None else list(enumerate(analysis.steps))
    if analysis is None or not grown:
        return '<p class="muted">nothing is measured yet</p>'
    values = [(float(index + 1), step.hypervolume) for index, step in grown]
    volumes = {step.number: step.hypervolume for step in analysis.steps}
    by_number = sorted((float(number), value) for number, value in volumes.items())
    rising = by_number if [value for _, value in by_number] == sorted(volumes.values()) else None
    x = Axis("trial" if rising else "improvement", _whole)
    last = float(points.number[-1]) if rising and points.number else values[-1][0]
    box = analysis.box
    note = (
        f'<p class="muted">share of the box from a metric of {box.floor:.4g} to {box.top:.4g} and below a cost of '
        f"{escape(numbers.cost(box.ceiling, analysis.cost_unit))}</p>"
    )
    return charts.steps(rising or values, last, x, Axis("hypervolume", _short)) + note


def _short(value: float) -> str:
    return f"{value:.4g}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


# --- tables --------------------------------------------------------------------------------------------------------


def _points_table(title: str, points: Sequence[PointView], job: JobView) -> str:
    heads = (">trial", ">score", f">{job.metric_name}", ">energy", ">of reference", ">bits")
    rows = (
        (
            str(point.number),
            f"{point.score:.4f}",
            f"{point.metric:.4f}",
            numbers.energy(point.energy_pj),
            numbers.percent(point.cost / job.reference_cost) if job.reference_cost else "-",
            f"{point.bits:,}",
        )
        for point in points
    )
    return _table(title, heads, rows)


def _layers(trial: TrialView | None) -> str:
    if trial is None:
        return ""
    largest = max((layer.included_pj or 0.0 for layer in trial.layers), default=0.0)
    rows = []
    for layer in trial.layers:
        quantizers = "<br>".join(
            f"{escape(slot)} {escape(tensor.quantizer or 'float')}" for slot, tensor in layer.slots.items()
        )
        bar = _bar(layer.included_pj or 0.0, largest)
        rows.append(
            f"<tr><th>{escape(layer.name)}</th><td>{escape(layer.class_name or '')}</td>"
            f'<td class="small">{quantizers}</td><td class="number">{escape(numbers.energy(layer.included_pj))}</td>'
            + "".join(_part(getattr(layer, f"{part}_pj")) for part in _PARTS)
            + f"<td>{bar}</td></tr>"
        )
    heads = "".join(f'<th class="number">{name}</th>' for name in ("energy", *_PARTS))
    return (
        f"<h2>Energy of the best trial, {trial.number}, layer by layer</h2>"
        f'<div class="scroll"><table><thead><tr><th>layer</th><th>class</th><th>quantizers</th>{heads}<th></th></tr>'
        f"</thead><tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="muted">energy: what counts of the parts; the cost model leaves some out by class</p>'
    )


def _part(value: float | None) -> str:
    return f'<td class="number muted">{escape(numbers.energy(value))}</td>'


def _bar(value: float, largest: float) -> str:
    share = 100 * value / largest if largest else 0.0
    return f'<div class="bar"><i style="width:{share:.2f}%"></i></div>'


def _states(job: JobView) -> str:
    rows = ((str(status), str(count)) for status, count in job.trials.items() if count)
    return _table("Trials by status", ("status", ">trials"), rows)


def _specification(job: JobView) -> str:
    warnings = "".join(f"<li>{escape(warning)}</li>" for warning in job.warnings)
    listed = f"<h2>Warnings</h2><ul>{warnings}</ul>" if warnings else ""
    return f"{listed}<details><summary>Definition</summary><pre>{escape(_pretty(job.spec))}</pre></details>"


def _pretty(spec: Any) -> str:
    import yaml

    return str(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True, width=100))


def _table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    classes = ["number" if head.startswith(">") else "" for head in heads]
    head = "".join(
        f'<th class="{kind}">{escape(text.lstrip(">"))}</th>'
        for kind, text in zip(classes, heads, strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(f'<td class="{kind}">{escape(cell)}</td>' for kind, cell in zip(classes, row, strict=True))
        + "</tr>"
        for row in rows
    )
    if not body:
        return f'<h2>{escape(title)}</h2><p class="muted">none yet</p>'
    return (
        f'<h2>{escape(title)}</h2><div class="scroll"><table class="narrow"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
