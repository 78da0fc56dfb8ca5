"""Jobs as responses: status, progress, best trials and fronts. Computed at every read, stored nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from cachetools import LRUCache, cached
from sqlalchemy.orm import Session

from search.history import JobStatus, TrialStatus
from service.schemas.jobs import BlockView, CostView, JobSummary, JobView, PointView, TestLookView
from service.store import jobs, test_looks
from service.store.final_training_models import TestLook
from service.store.lifecycle import allowed
from service.store.models import Job
from service.store.session import database_now
from service.views.points import JobPoints
from service.views.progress import Pace, progress, read_pace
from service.views.scoring import objective, scoring

#: Fields of a job that are computed from its trials.
_SUMMARIZED: Final = {"trials", "progress", "best", "best_metric", "least_cost", "least_energy_pj"}


def best(
    session: Session, job: Job, count: int, overrides: Mapping[str, float] | None = None
) -> list[PointView]:
    """The `count` trials with the highest scores, best first; of equal ones the earlier.

    `overrides`: numbers that replace the goal's delta_p, delta_n, rate and stress.
    """
    return JobPoints.read(session, job.id, scoring(job, overrides)).best(count)


def front(session: Session, job: Job) -> list[PointView]:
    """The measured trials that no other trial beats in both metric and cost, by rising cost."""
    return JobPoints.read(session, job.id, scoring(job)).front()


def summaries(session: Session, rows: Sequence[Job], names: Sequence[str]) -> list[dict[str, Any]]:
    """The named fields of the jobs in a list, as plain values."""
    if not _SUMMARIZED & set(names):
        return [_named(_stored_fields(job), names) for job in rows]
    return [_named(JobSummary(**fields).model_dump(), names) for fields in _job_fields(session, rows)]


def _named(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: fields[name] for name in names}


def job_view(session: Session, job: Job, waiting: str | None = None) -> JobView:
    """The job in full; `waiting`: why no worker works on it."""
    (fields,) = _job_fields(session, [job])
    return JobView(
        **fields,
        space_size=job.space_size,
        reference=CostView.model_validate(job.reference),
        reference_values=job.reference_values or {},
        blocks=tuple(BlockView.model_validate(block) for block in job.blocks or ()),
        float_metric=job.float_metric,
        warnings=tuple(job.warnings),
        allowed=allowed(JobStatus(job.status), failed_trials=fields["trials"][TrialStatus.FAILED] > 0),
        test_looks=tuple(look_view(row) for row in test_looks.of_job(session, job.id)),
        waiting=waiting,
        spec=job.spec,
    )


def look_view(row: TestLook) -> TestLookView:
    """A look at the test data as a response."""
    return TestLookView(
        number=row.number,
        trial=row.trial,
        kind=row.kind,
        metric=row.metric,
        optimistic=row.optimistic,
        note=test_looks.look_of(row).note,
        created_at=row.created_at,
    )


@dataclass(frozen=True, slots=True)
class _TrialsSummary:
    """A summary of a job's trials, at one version of the job."""

    counts: Counter[TrialStatus]
    pace: Pace
    extremes: dict[str, Any]


def _job_fields(session: Session, rows: Sequence[Job]) -> list[dict[str, Any]]:
    moment = database_now(session)
    views = []
    for job in rows:
        summary = _summary(session, job)
        views.append(
            _stored_fields(job)
            | summary.extremes
            | {
                "trials": _all_statuses(summary.counts),
                "progress": progress(job, summary.counts, summary.pace, moment),
            }
        )
    return views


# a version of a job never changes, so a list of ended jobs reads no trials
@cached(LRUCache(2048), key=lambda _session, job: (job.id, job.version), lock=Lock())
def _summary(session: Session, job: Job) -> _TrialsSummary:
    counts = jobs.trial_counts(session, [job.id])[job.id]
    points = JobPoints.read(session, job.id, scoring(job))
    return _TrialsSummary(counts, read_pace(session, job.id), points.summary())


def _stored_fields(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "status": job.status,
        "reason": job.reason,
        "cause": job.cause,
        "priority": job.priority,
        "submitted_by": job.submitted_by,
        "budget": {name: job.spec["budget"].get(name) for name in ("trials", "epochs", "seconds")},
        "model": _model_label(job.spec["model"]),
        "data": _data_label(job.spec["data"]),
        "cost_unit": job.cost_unit,
        "metric_name": objective(job).metric,
        "metric_direction": objective(job).direction,
        "metric_is_share": objective(job).info.is_share,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "reference_cost": job.reference_cost,
        "reference_energy_pj": job.reference["energy_pj"],
        "version": job.version,
    }


def _all_statuses(counts: Counter[TrialStatus]) -> dict[TrialStatus, int]:
    return {status: counts[status] for status in TrialStatus}


def _data_label(data: Mapping[str, Any]) -> str:
    return f"upload {data['id']}" if data["kind"] == "uploaded" else str(data.get("file") or data["kind"])


def _model_label(model: Mapping[str, Any]) -> str:
    if model["kind"] == "zoo":
        return str(model["name"])
    if model["kind"] == "uploaded":
        return f"upload {model['id']}"
    if model["kind"] == "xylo":
        return str(model["name"] or model["file"])
    config = model["config"].get("config")
    name = config.get("name") if isinstance(config, Mapping) else None
    return str(name or "architecture")[:200]
