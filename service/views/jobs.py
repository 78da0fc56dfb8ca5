"""Rows as their reader wants them: scores, best trials, fronts, progress. Computed at every reading, stored nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from quantization.specs.parse import parse_quantizer
from search.history import TRIAL_ENDED, JobStatus, TrialStatus, spread
from search.scoring.forgiving_factor import forgiving_factor
from search.spec.job import Goal
from search.spec.objective import Objective
from service.schemas.jobs import (
    ArtifactView,
    AttemptView,
    CostView,
    EpochView,
    ExecutionView,
    JobSummary,
    JobView,
    PointView,
    ProgressView,
    SpreadView,
    TensorView,
    TrialLayerView,
    TrialSummary,
    TrialView,
)
from service.store import jobs
from service.store.lifecycle import allowed
from service.store.models import Artifact, Attempt, Job, Trial, TrialEpoch, TrialLayer, now
from service.store.reading import SCORE, Scoring
from service.views.lru import Kept
from service.views.measured import Measured

_GOAL: TypeAdapter[Any] = TypeAdapter(Goal)

#: Trials that count as done; a cancelled one does not.
_TRIED = TRIAL_ENDED - {TrialStatus.CANCELLED}

_ENERGY_PARTS = ("inputs_pj", "outputs_pj", "parameters_pj", "operations_pj", "included_pj", "included")

#: Score of a metric and a cost under a job's goal.
Scorer = Callable[[float, float], float]


# --- scores, best, front -------------------------------------------------------------------------------------------


def scorer(job: Job) -> Scorer:
    """The score under the job's goal: metric forgiven by how far the cost is below the reference."""
    return scoring(job).score


def scoring(job: Job, other: Mapping[str, float] | None = None) -> Scoring:
    """How the job scores, with other numbers in its goal: one trial, or many at once in SQL or NumPy."""
    direction = objective(job).direction
    goal = _GOAL.validate_python(job.spec["goal"] | dict(other or {}))
    return Scoring(forgiving_factor(goal, direction), job.reference_cost)


def objective(job: Job) -> Objective:
    """What the job optimises; jobs stored by older versions name none."""
    return Objective.model_validate(job.spec.get("objective") or {})


def best(session: Session, job: Job, count: int, other: Mapping[str, float] | None = None) -> list[PointView]:
    """The `count` highest scores, best first; of equal ones the earlier: the order that names a job's best trial.

    `other`: numbers in place of the goal's own delta_p, delta_n, rate and stress.
    """
    return Measured.read(session, job.id, scoring(job, other or {})).best(count)


def front(session: Session, job: Job) -> list[PointView]:
    """The measured trials no other trial beats in both metric and cost, by rising cost."""
    return Measured.read(session, job.id, scoring(job)).front()


# --- progress ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pace:
    """What the trials of a job have done: when the first one started, epochs under way, and how many were judged
    without training, which costs nothing of the budget.
    """

    first_start: datetime | None = None
    epochs_under_way: int = 0
    free: int = 0


def _pace(session: Session, job_id: str) -> _Pace:
    first_start = session.scalar(select(func.min(Trial.started_at)).where(Trial.job_id == job_id))
    epochs = session.scalar(
        select(func.sum(Trial.epochs_done)).where(Trial.job_id == job_id, Trial.status == TrialStatus.RUNNING)
    )
    free = session.scalar(
        select(func.count()).where(Trial.job_id == job_id, Trial.proof.is_not(None), Trial.metric.is_(None))
    )
    return _Pace(first_start, int(epochs or 0), int(free or 0))


def _progress(job: Job, counts: Mapping[TrialStatus, int], pace: _Pace, moment: datetime) -> ProgressView:
    budget, epochs = (
        job.spec["budget"],
        job.spec["training"]["epochs"] * job.spec["training"].get("executions", 1),
    )
    done = sum(count for status, count in counts.items() if status in _TRIED) - pace.free
    total = (
        sum(counts.values()) - pace.free
        if job.exhausted
        else trials_allowed(budget["trials"], int(job.space_size))
    )
    work = min(
        done + pace.epochs_under_way / (epochs + 1), total
    )  # the last epoch is not yet the end of a trial
    elapsed = jobs.active_s(job, moment)
    fraction = 1.0 if job.status in (JobStatus.DONE, JobStatus.FINALIZING) else work / total if total else 0.0
    eta = None
    if job.status == JobStatus.RUNNING and work > 0 and pace.first_start is not None:
        eta = _seconds(moment - pace.first_start) * (total - work) / work
    if (limit := budget.get("seconds")) and elapsed is not None and job.status == JobStatus.RUNNING:
        left = max(limit - elapsed, 0.0)
        eta = left if eta is None else min(eta, left)
        fraction = max(fraction, min(elapsed / limit, 1.0))
    return ProgressView(done=done, total=total, fraction=fraction, elapsed_s=elapsed, eta_s=eta)


def trials_allowed(budget: int, space_size: int) -> int:
    """How many trials a job can have: its budget, or every assignment there is."""
    return min(budget, space_size)


def _seconds(span: Any) -> float:
    return max(float(span.total_seconds()), 0.0)


# --- jobs ----------------------------------------------------------------------------------------------------------


def summaries(session: Session, rows: Sequence[Job], names: Sequence[str]) -> list[dict[str, Any]]:
    """The named fields of the jobs as a list shows them, as plain values."""
    if not _SUMMED & set(names):
        return [_named(_own_fields(job), names) for job in rows]
    return [_named(JobSummary(**fields).model_dump(), names) for fields in _job_fields(session, rows)]


def _named(fields: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: fields[name] for name in names}


def job_view(session: Session, job: Job) -> JobView:
    """The job in full."""
    (fields,) = _job_fields(session, [job])
    return JobView(
        **fields,
        space_size=job.space_size,
        reference=CostView.model_validate(job.reference),
        warnings=tuple(job.warnings),
        allowed=allowed(JobStatus(job.status), failed_trials=fields["trials"][TrialStatus.FAILED] > 0),
        spec=job.spec,
    )


@dataclass(frozen=True, slots=True)
class _Trials:
    """What the trials of a job amount to, at one version of the job."""

    counts: Counter[TrialStatus]
    pace: _Pace
    measured: dict[str, Any]


#: A version never changes, so what was summed up of it is kept: a list of ended jobs reads no trials.
_summed: Kept[tuple[str, int], _Trials] = Kept(2048)


#: Fields of a job that its trials are read for.
_SUMMED: Final = {"trials", "progress", "best", "best_metric", "least_cost", "least_energy_pj"}


def _job_fields(session: Session, rows: Sequence[Job]) -> list[dict[str, Any]]:
    moment = now()
    found = []
    for job in rows:
        summed = _summed.get((job.id, job.version), lambda job=job: _sum(session, job))  # type: ignore[misc]
        found.append(
            _own_fields(job)
            | summed.measured
            | {
                "trials": _all_statuses(summed.counts),
                "progress": _progress(job, summed.counts, summed.pace, moment),
            }
        )
    return found


def _sum(session: Session, job: Job) -> _Trials:
    counts = jobs.trial_counts(session, [job.id])[job.id]
    measured = Measured.read(session, job.id, scoring(job))
    return _Trials(counts, _pace(session, job.id), measured.summary())


def _own_fields(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "name": job.name,
        "status": job.status,
        "reason": job.reason,
        "cause": job.cause,
        "priority": job.priority,
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
    own = model["config"].get("config")
    name = own.get("name") if isinstance(own, Mapping) else None
    return str(name or "architecture")[:200]


# --- trials --------------------------------------------------------------------------------------------------------


def trial_item(fields: Mapping[str, Any], score: Scorer, names: Sequence[str]) -> dict[str, Any]:
    """The named fields of a trial as a list shows it, from its columns, which have metric and cost."""
    metric, cost = fields["metric"], fields["cost"]
    scored = None if metric is None or cost is None else score(metric, cost)
    return {name: scored if name == SCORE else fields[name] for name in names}


def trial_view(
    trial: Trial,
    score: Scorer,
    *,
    epochs: Sequence[TrialEpoch],
    layers: Sequence[TrialLayer],
    files: Sequence[Artifact],
    attempts: Sequence[Attempt],
) -> TrialView:
    """The trial in full."""
    return TrialView(
        **_trial_fields(trial, score),
        job_id=trial.job_id,
        layers=_trial_layers(trial.assignment, layers),
        choices=trial.assignment["values"],
        epochs=tuple(
            EpochView(epoch=row.epoch, metrics=row.metrics, duration_s=row.duration_s) for row in epochs
        ),
        post_training_metric=trial.post_training_metric,
        best_epoch=trial.best_epoch,
        **_executions(trial),
        learning_rate=trial.assignment.get("learning_rate"),
        seed=trial.seed,
        versions=trial.versions or {},
        durations_s=trial.durations_s or {},
        worker=trial.worker,
        attempts=tuple(AttemptView.model_validate(row, from_attributes=True) for row in attempts),
        artifacts=tuple(
            ArtifactView(name=row.name, sha256=row.sha256, size_bytes=row.size_bytes) for row in files
        ),
    )


def _executions(trial: Trial) -> dict[str, Any]:
    """Each execution, and how far they lie apart."""
    each = trial.executions or []
    apart = spread([entry["metric"] for entry in each])
    return {
        "executions": tuple(
            ExecutionView(**entry, selected=entry["best_epoch"] == trial.best_epoch) for entry in each
        ),
        "spread": None if apart is None else SpreadView.model_validate(apart, from_attributes=True),
    }


def _trial_fields(trial: Trial, score: Scorer) -> dict[str, Any]:
    fields = {name: getattr(trial, name) for name in TrialSummary.model_fields if name != "score"}
    if trial.metric is None or trial.cost is None:
        return fields | {"score": None}
    return fields | {"score": score(trial.metric, trial.cost)}


def _trial_layers(
    assignment: Mapping[str, Any], energies: Sequence[TrialLayer]
) -> tuple[TrialLayerView, ...]:
    """The layers in the network's order once they are priced; before, those with a choice."""
    quantizers, widths = assignment["quantizers"], assignment["widths"]
    rows = {row.name: row for row in energies}
    names = dict.fromkeys([*rows, *quantizers, *widths])
    return tuple(
        _trial_layer(name, quantizers.get(name, {}), widths.get(name), rows.get(name)) for name in names
    )


def _trial_layer(
    name: str, slots: Mapping[str, str | None], width: int | None, row: TrialLayer | None
) -> TrialLayerView:
    tensors = {
        slot: TensorView(quantizer=text, bits=None if text is None else _bits(text))
        for slot, text in slots.items()
    }
    if row is None:
        return TrialLayerView(name=name, class_name=None, slots=tensors, width=width)
    parts = {part: getattr(row, part) for part in _ENERGY_PARTS}
    return TrialLayerView(
        name=name,
        class_name=row.class_name,
        slots=tensors,
        width=width,
        **parts,
    )


@lru_cache(maxsize=4096)
def _bits(text: str) -> int:
    return parse_quantizer(text).bits
