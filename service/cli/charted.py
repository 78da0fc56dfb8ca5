"""The dashboard's own charts in pages that stand alone: scripts, styles and numbers are inside, nothing is loaded."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from service.cli.pages import render
from service.dashboard.bundle import FOLDER, bundle
from service.schemas.jobs import JobView, PointView, TrialView

_ENTRY: Final = "report.js"
_STYLES: Final = ("style.css", "views.css")


def charts_page(
    job: JobView,
    points: Mapping[str, Any],
    trials: Sequence[TrialView] = (),
    analysis: Mapping[str, Any] | None = None,
    shows: str = "job",
) -> str:
    """A page with nothing but the charts. `points`: columns, as `PointsView` has them; `shows`: "job" or "trial"."""
    shown = parts(job, points, trials, analysis, shows)
    return render("charts.html.j2", title=job.name or job.model, **shown)


def trial_page(job: JobView, trial: TrialView) -> str:
    """A page with nothing but the charts of a trial: energy by layer, quantizers, learning curve."""
    return charts_page(job, columns_of((), job.reference_cost, job.cost_unit), (trial,), shows="trial")


def parts(
    job: JobView,
    points: Mapping[str, Any],
    trials: Sequence[TrialView] = (),
    analysis: Mapping[str, Any] | None = None,
    shows: str = "job",
) -> dict[str, Any]:
    """What a template needs for the charts: `script`, its digest for the page's policy, `styles`, and `data` as JSON.

    `data` cannot end its element: every `<` is written as an escape.
    """
    document = {
        "job": job.model_dump(mode="json"),
        "points": dict(points),
        "trials": [trial.model_dump(mode="json") for trial in trials],
        "choices": choices_of(trials),
        "analysis": analysis,
        "shows": shows,
    }
    script, digest = _script()
    return {
        "script": script,
        "script_digest": digest,
        "styles": _styles(),
        "data": json.dumps(document, separators=(",", ":")).replace("<", "\\u003c"),
    }


def columns_of(points: Sequence[PointView], reference_cost: float, unit: str) -> dict[str, Any]:
    """Measured trials as the columns that the charts read."""
    fields = ("number", "metric", "cost", "energy_pj", "bits")
    columns: dict[str, Any] = {name: [getattr(point, name) for point in points] for name in fields}
    ordered = sorted(range(len(points)), key=columns["number"].__getitem__)
    return {
        "version": 0,
        "cost_unit": unit,
        "reference_cost": reference_cost,
        "status": ["done"] * len(points),
        **{name: [values[index] for index in ordered] for name, values in columns.items()},
    }


def choices_of(trials: Sequence[TrialView]) -> dict[str, Any] | None:
    """The choices of trials, as `GET .../choices` answers them; None without any."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.choices))
    if not names:
        return None
    bits = {
        tensor.quantizer: tensor.bits
        for trial in trials
        for layer in trial.layers
        for tensor in layer.slots.values()
    }
    choices = []
    for name in names:
        labels = list(dict.fromkeys(trial.choices[name] for trial in trials if name in trial.choices))
        choices.append(
            {
                "name": name,
                "labels": labels,
                "bits": [bits.get(label) if isinstance(label, str) else None for label in labels],
                "codes": [
                    labels.index(trial.choices[name]) if name in trial.choices else -1 for trial in trials
                ],
            }
        )
    return {"number": [trial.number for trial in trials], "choices": choices}


@cache
def _script() -> tuple[str, str]:
    """The script with all modules, and its digest as a policy names it."""
    script = "\n" + bundle(_ENTRY).replace("</script", "<\\/script")
    digest = hashlib.sha256(script.encode()).digest()
    return script, f"sha256-{base64.b64encode(digest).decode()}"


@cache
def _styles() -> str:
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in _STYLES)
