"""Jobs in SQL: created, read, ended. Callers pass the session; nothing here commits."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session, aliased

from search.history import JOB_ENDED, TRIAL_ENDED, Cause, JobStatus, TrialStatus
from service.errors import JobNotFound
from service.store import capacity as capacities
from service.store import events
from service.store.capacity import Capacity, Request
from service.store.events import Entry, EventType
from service.store.key_models import ApiKey
from service.store.leases import Watch, may_be_lost
from service.store.lifecycle import OPEN
from service.store.models import Job, JobExtra, Trial, now
from service.store.session import database_now


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is stored of a job whose specification is valid."""

    name: str
    spec: dict[str, Any]
    cost_unit: str
    reference_cost: float
    reference: dict[str, Any]
    space_size: str  #: a number, maybe of hundreds of digits
    warnings: Sequence[str]
    reference_values: Mapping[str, float] = field(default_factory=dict)
    blocks: Sequence[Mapping[str, Any]] = ()  #: `search.schedules.Block` of each


def model_key(spec: Mapping[str, Any]) -> str:
    """SHA-256 of the model of a specification: jobs with one key search the same model."""
    return hashlib.sha256(json.dumps(spec["model"], sort_keys=True).encode()).hexdigest()


def create(
    session: Session, new: NewJob, *, cloned_from: str | None = None, submitted_by: str | None = None
) -> Job:
    """Store a job in status QUEUED. `submitted_by`: id of a key, whose name is stored."""
    key = None if submitted_by is None else session.get(ApiKey, submitted_by)
    moment, request = now(), Request.of_spec(new.spec)
    job = Job(
        version=0,
        **request.columns(),
        priority=new.spec.get("priority", 0),
        parallel_trials=new.spec.get("parallel_trials", 2),
        model_key=model_key(new.spec),
        id=secrets.token_hex(8),
        name=new.name,
        status=JobStatus.QUEUED,
        spec=new.spec,
        cost_unit=new.cost_unit,
        reference_cost=new.reference_cost,
        reference=new.reference,
        reference_values=dict(new.reference_values),
        blocks=[dict(block) for block in new.blocks] or None,
        space_size=new.space_size,
        warnings=list(new.warnings),
        submitted_by=None if key is None else key.name,
        created_at=moment,
        checked_at=moment,
    )
    session.add(job)
    session.flush()
    session.add_all(JobExtra(job_id=job.id, name=name) for name in request.extras)
    created = {"name": new.name, "status": JobStatus.QUEUED}
    created |= {} if cloned_from is None else {"cloned_from": cloned_from}
    warnings = (Entry(EventType.JOB_WARNING, {"message": text}) for text in new.warnings)
    events.append(session, job.id, Entry(EventType.JOB_CREATED, created), *warnings)
    return job


def get(session: Session, job_id: str) -> Job:
    """The job; JobNotFound."""
    job = session.get(Job, job_id)
    if job is None:
        raise _not_found(job_id)
    return job


def _not_found(job_id: str) -> JobNotFound:
    return JobNotFound(f"no job has the id {job_id!r}")


def trial_counts(session: Session, job_ids: Sequence[str]) -> dict[str, Counter[TrialStatus]]:
    """How many trials of each job are in each status."""
    counts: dict[str, Counter[TrialStatus]] = {job_id: Counter() for job_id in job_ids}
    rows = session.execute(
        select(Trial.job_id, Trial.status, func.count())
        .where(Trial.job_id.in_(job_ids))
        .group_by(Trial.job_id, Trial.status)
    )
    for job_id, status, count in rows:
        counts[job_id][TrialStatus(status)] = count
    return counts


def locked(session: Session, job_id: str) -> Job:
    """The job as it is now, locked, with its trials, until the transaction ends; JobNotFound."""
    job = session.get(Job, job_id, with_for_update=True, populate_existing=True)
    if job is None:
        raise _not_found(job_id)
    return job


def active_s(job: Job, moment: datetime) -> float | None:
    """Seconds that the job has been searching at this moment, without pauses; None before it starts."""
    if job.started_at is None:
        return None
    until = job.finished_at or job.paused_at or moment
    return max((until - job.started_at).total_seconds() - job.idle_s, 0.0)


def paid_trials(session: Session, job_id: str) -> int:
    """How many trials count against the budget: those that were judged without training do not."""
    trained = Trial.metric.is_not(None) | Trial.proof.is_(None)
    return session.scalar(select(func.count()).where(Trial.job_id == job_id, trained)) or 0


def any_failed(session: Session, job_id: str) -> bool:
    """Whether a trial of the job failed."""
    failed = select(Trial.id).where(Trial.job_id == job_id, Trial.status == TrialStatus.FAILED)
    return session.scalar(failed.limit(1)) is not None


def set_status(
    session: Session, job: Job, status: JobStatus, *, reason: str | None = None, cause: Cause | None = None
) -> None:
    """Change the status of a locked job, and write the event."""
    change = {"before": job.status, "status": status, "reason": reason, "cause": cause}
    job.status = status
    job.reason = reason
    job.cause = cause
    events.append(session, job.id, Entry(EventType.JOB_STATUS, change))


def end(session: Session, job_id: str, status: JobStatus, reason: str, *, cause: Cause | None = None) -> None:
    """End the job unless it has ended already; trials still in the queue are cancelled.

    Without a `cause` a failure is an ERROR, and any other end keeps the cause the search ended for.
    """
    job = locked(session, job_id)
    if job.status in JOB_ENDED:
        return
    cancel_queued(session, job_id, f"the job is {status}")
    if status is JobStatus.DONE and job.best_trial is not None:
        events.append(session, job_id, Entry(EventType.JOB_FINALIZED, trial=job.best_trial))
    search_ended_for = Cause(job.cause) if job.cause else None
    job.finished_at = database_now(session)
    job.lease_until = None
    set_status(
        session,
        job,
        status,
        reason=reason,
        cause=cause or (Cause.ERROR if status is JobStatus.FAILED else search_ended_for),
    )


def cancel_queued(session: Session, job_id: str, reason: str) -> None:
    """Cancel the queued trials of a locked job."""
    rows = session.execute(
        update(Trial)
        .where(Trial.job_id == job_id, Trial.status == TrialStatus.QUEUED)
        .values(status=TrialStatus.CANCELLED, finished_at=now(), reason=reason)
        .returning(Trial.number, Trial.attempt)
    ).all()
    data = {"status": TrialStatus.CANCELLED, "reason": reason}
    events.append(
        session,
        job_id,
        *(
            Entry(EventType.TRIAL_ENDED, {"attempt": row.attempt, **data}, row.number)
            for row in sorted(rows, key=lambda row: row.number)
        ),
    )


def any_running(session: Session, job_id: str) -> bool:
    """Whether a trial of the job is running."""
    running = select(Trial.id).where(Trial.job_id == job_id, Trial.status == TrialStatus.RUNNING)
    return session.scalar(running.limit(1)) is not None


def save_proposals(
    session: Session, job_id: str, *, proposals: int, oracle_state: str, exhausted: bool
) -> bool:
    """Store the state of an oracle that was asked when the job had `proposals`. False, and nothing stored, if it was
    asked again since, or if the job accepts no proposals now.
    """
    job = locked(session, job_id)
    if job.proposals != proposals or job.status not in OPEN:
        return False
    job.proposals = proposals + 1
    job.failures = 0
    job.oracle_state = oracle_state
    job.exhausted = exhausted
    job.started_at = job.started_at or database_now(session)
    if job.status == JobStatus.QUEUED:
        set_status(session, job, JobStatus.RUNNING)
    return True


def note_failure(session: Session, job_id: str, reason: str, *, limit: int) -> None:
    """Count an error of the search itself; after `limit` in a row the job ends as FAILED."""
    failures = session.scalar(
        update(Job).where(Job.id == job_id).values(failures=Job.failures + 1).returning(Job.failures)
    )
    if failures is None:
        return
    message = f"the search failed {failures} times in a row: {reason}"
    events.append(session, job_id, Entry(EventType.JOB_WARNING, {"message": message}))
    if failures >= limit:
        end(session, job_id, JobStatus.FAILED, message)


def note_float_metric(session: Session, job_id: str, metric: float) -> None:
    """Store the float model's metric, the first time it is measured."""
    session.execute(
        update(Job)
        .where(Job.id == job_id, Job.float_metric.is_(None))
        .values(float_metric=metric, version=Job.version + 1)
    )


def stalled(session: Session, idle_since: datetime, watch: Watch) -> list[tuple[str, JobStatus]]:
    """Ids and statuses of jobs for which no message was sent since `idle_since` though nothing else will advance them:
    they have not ended, are not paused, have no open trial, and no worker makes their final report. A final report
    whose worker is known to be dead is returned to the queue.

    Notes that a message is sent now, so that each job is returned once per interval.
    """
    has_open_trial = select(Trial.id).where(Trial.job_id == Job.id, Trial.status.not_in(TRIAL_ENDED)).exists()
    ids, moment = [], database_now(session)
    is_active = Job.status.not_in({*JOB_ENDED, JobStatus.PAUSED})
    for job in session.scalars(select(Job).where(is_active, ~has_open_trial).order_by(Job.priority.desc())):
        if job.worker is not None and job.lease_until is not None and watch.is_dead(job.worker):
            job.lease_until = None
        elif not may_be_lost(job.checked_at, idle_since, moment):
            continue
        if job.lease_until is None or (watch.by_time and job.lease_until < moment):
            job.checked_at = moment
            ids.append((job.id, JobStatus(job.status)))
    return ids


_ABOVE: Final = aliased(Job)

_FIRST_UNSTARTED: Final = (
    select(Job.id)
    .where(
        Job.status == JobStatus.QUEUED,
        Job.priority > select(_ABOVE.priority).where(_ABOVE.id == bindparam("above")).scalar_subquery(),
        capacities.fits(),
    )
    .order_by(Job.priority.desc(), Job.created_at)
    .limit(1)
)


def first_unstarted(session: Session, above: str, capacity: Capacity | None = None) -> str | None:
    """The job that nobody has begun, that fits a worker and has a higher priority than the job `above`: of several the
    one with the highest, there the oldest. None if there is none.
    """
    return session.scalar(_FIRST_UNSTARTED, capacities.parameters(capacity) | {"above": above})
