"""How far a job is, and how long it may still take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from search.history import TRIAL_ENDED, JobStatus, TrialStatus
from service.schemas.jobs import ProgressView
from service.store import jobs
from service.store.models import Job, Trial

#: Statuses of trials that count as done; cancelled trials do not.
_DONE = TRIAL_ENDED - {TrialStatus.CANCELLED}


@dataclass(frozen=True, slots=True)
class Pace:
    """Work of a job's trials: start of the first one, epochs of those that are running, and how many were judged
    without training, which does not use the budget.
    """

    first_start: datetime | None = None
    running_epochs: int = 0
    free_trials: int = 0


def read_pace(session: Session, job_id: str) -> Pace:
    """The pace of a job's trials."""
    first_start = session.scalar(select(func.min(Trial.started_at)).where(Trial.job_id == job_id))
    epochs = session.scalar(
        select(func.sum(Trial.epochs_done)).where(Trial.job_id == job_id, Trial.status == TrialStatus.RUNNING)
    )
    free = session.scalar(
        select(func.count()).where(Trial.job_id == job_id, Trial.proof.is_not(None), Trial.metric.is_(None))
    )
    return Pace(first_start, int(epochs or 0), int(free or 0))


def progress(job: Job, counts: Mapping[TrialStatus, int], pace: Pace, moment: datetime) -> ProgressView:
    """The progress at a moment. `counts`: trials by status.

    A running job ends with its trials or with its time budget: `eta_s` is the smaller of both estimates.
    """
    training = job.spec["training"]
    epochs = training["epochs"] * training.get("executions", 1)
    done = sum(count for status, count in counts.items() if status in _DONE) - pace.free_trials
    total = _total(job, sum(counts.values()) - pace.free_trials)
    work = min(done + pace.running_epochs / (epochs + 1), total)  # a trial does not end with its last epoch
    elapsed_s = jobs.active_s(job, moment)
    fraction = 1.0 if job.status in (JobStatus.DONE, JobStatus.FINALIZING) else work / total if total else 0.0
    estimates = []
    if job.status == JobStatus.RUNNING and work > 0 and pace.first_start is not None:
        estimates.append(_seconds(moment - pace.first_start) * (total - work) / work)
    limit_s = job.spec["budget"].get("seconds")
    if job.status == JobStatus.RUNNING and limit_s and elapsed_s is not None:
        estimates.append(max(limit_s - elapsed_s, 0.0))
        fraction = max(fraction, min(elapsed_s / limit_s, 1.0))
    eta_s = min(estimates, default=None)
    return ProgressView(done=done, total=total, fraction=fraction, elapsed_s=elapsed_s, eta_s=eta_s)


def _total(job: Job, proposed: int) -> int:
    return proposed if job.exhausted else trials_allowed(job.spec["budget"]["trials"], int(job.space_size))


def trials_allowed(budget: int, space_size: int) -> int:
    """How many trials a job can have: its budget, or every assignment of its space."""
    return min(budget, space_size)


def _seconds(span: timedelta) -> float:
    return max(span.total_seconds(), 0.0)
