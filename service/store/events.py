"""The event log of a job: events in order, each written in the transaction of the change that it reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, cast

from sqlalchemy import CursorResult, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from search.history import JOB_ENDED, JobStatus
from service.store.models import Event, Job, now


class EventType(StrEnum):
    """What an event is about."""

    JOB_CREATED = "job.created"  #: name, status, cloned_from
    JOB_WARNING = "job.warning"  #: message
    JOB_STATUS = "job.status"  #: before, status, reason, cause
    JOB_CHANGED = "job.changed"  #: budget, parallel_trials, priority: those that changed
    JOB_FINALIZED = "job.finalized"  #: the best trial was measured on the test data, its report is there
    TRIAL_QUEUED = "trial.queued"  #: proposed (attempt 0), returned or retried: attempt, reason
    TRIAL_CLAIMED = "trial.claimed"  #: a worker has it: attempt, worker
    TRIAL_EPOCH = "trial.epoch"  #: attempt, epoch, metrics, duration_s
    TRIAL_ENDED = "trial.ended"  #: attempt, status, reason, metric, cost, energy_pj, bits
    TRIAL_EXPORT = (
        "trial.export"  #: an export: name, status, format, attempt, reason, size_bytes, equal_classes, exact
    )
    TRIAL_FINAL = "trial.final"  #: a final training: status, epochs, attempt, metric, test_metric, reason


@dataclass(frozen=True, slots=True)
class Entry:
    """An event to be written."""

    type: EventType
    data: Mapping[str, Any] = field(default_factory=dict)
    trial: int | None = None


@dataclass(frozen=True, slots=True)
class JobLock:
    """A job whose row is locked until the transaction ends, with ids reserved for its next events."""

    job_id: str
    first: int  #: id of the first event
    status: JobStatus
    parallel_trials: int


#: Built once: every write of a worker begins with it.
_LOCK: Final = (
    update(Job)
    .where(Job.id == bindparam("locked"))
    .values(version=Job.version + bindparam("count"))
    .returning(Job.version, Job.status, Job.parallel_trials)
)


def lock(session: Session, job_id: str, count: int = 1) -> JobLock | None:
    """Lock a job and reserve the ids of its next `count` events; None if there is no such job. Ids may be left unused.

    This precedes every other write to a job and its trials, so that no two transactions deadlock.
    """
    row = session.execute(_LOCK, {"locked": job_id, "count": count}).one_or_none()
    if row is None:
        return None
    return JobLock(job_id, row.version - count + 1, JobStatus(row.status), row.parallel_trials)


def write(session: Session, job: JobLock, *entries: Entry) -> None:
    """Write events under the ids that the lock reserved."""
    moment = now()
    rows = [
        {
            "job_id": job.job_id,
            "id": job.first + index,
            "type": entry.type,
            "trial": entry.trial,
            "data": dict(entry.data),
            "created_at": moment,
        }
        for index, entry in enumerate(entries)
    ]
    if rows:
        session.execute(insert(Event), rows)


def append(session: Session, job_id: str, *entries: Entry) -> None:
    """Write events of a job; nothing happens if there is no such job."""
    if entries:
        job = lock(session, job_id, len(entries))
        if job is not None:
            write(session, job, *entries)


def after(session: Session, job_id: str, last: int, limit: int) -> list[Event]:
    """The first `limit` events with ids above `last`, in order."""
    query = select(Event).where(Event.job_id == job_id, Event.id > last).order_by(Event.id).limit(limit)
    return list(session.scalars(query))


def trials_since(session: Session, job_id: str, last: int) -> list[int]:
    """Numbers of the trials that events with ids above `last` are about, in order."""
    query = select(Event.trial).where(Event.job_id == job_id, Event.id > last, Event.trial.is_not(None))
    return sorted({number for number in session.scalars(query) if number is not None})


def statuses(session: Session, job_ids: Sequence[str]) -> dict[str, tuple[int, JobStatus]]:
    """Version and status of these jobs; jobs that are gone are left out."""
    rows = session.execute(select(Job.id, Job.version, Job.status).where(Job.id.in_(job_ids)))
    return {job_id: (version, JobStatus(status)) for job_id, version, status in rows}


def prune(session: Session, before: datetime) -> int:
    """Remove events of jobs that ended before this moment; how many."""
    ended = select(Job.id).where(Job.status.in_(JOB_ENDED), Job.finished_at < before)
    removed = session.execute(
        delete(Event)
        .where(Event.created_at < before, Event.job_id.in_(ended))
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", removed).rowcount
