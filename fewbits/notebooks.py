"""Jobs, trials and fronts that a client read, drawn in notebooks by the dashboard's modules.

Importing this module (as `fewbits.SearchClient` does) is enough. What draws is loaded when something is drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from service.client import ClientError, SearchClient
from service.schemas.jobs import JobView, ParetoView, TrialView
from service.schemas.notebooks import Origin, draw_with

__all__ = ["SearchClient"]


def _draw_job(job: JobView, origin: Origin) -> str | None:
    """A job as it was when it was read: its progress, and its front."""
    shown: str = _drawing().progress_html(job, origin.client.url)
    if job.best is None:
        return shown
    front = _read(origin, lambda client: client.pareto(job.id))
    return shown if front is None else shown + _result(job, front, origin)


def _draw_front(front: ParetoView, origin: Origin) -> str | None:
    job = _read(origin, lambda client: client.job(origin.path.split("/")[3]))  # /v1/jobs/ID/pareto
    return None if job is None or job.best is None else _result(job, front, origin)


def _draw_trial(trial: TrialView, origin: Origin) -> str | None:
    job = _read(origin, lambda client: client.job(trial.job_id))
    return None if job is None else str(_drawing().trial_html(job, trial, origin.client.url))


def _result(job: Any, front: ParetoView, origin: Origin) -> str:
    return str(_drawing().result_html(job, front.items, job.best.number, origin.client.url))


def _drawing() -> Any:
    return import_module("fewbits.progress")


def _read(origin: Origin, question: Callable[[SearchClient], Any]) -> Any:
    """What the service answers; None if it does not, or if its client answers later."""
    if not isinstance(origin.client, SearchClient):
        return None
    try:
        return question(origin.client)
    except ClientError:
        return None


draw_with(JobView, _draw_job)
draw_with(ParetoView, _draw_front)
draw_with(TrialView, _draw_trial)
