"""The log of what happened in a job: events in order, each written in the transaction of the change it tells of."""

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
    TRIAL_QUEUED = "trial.queued"  #: proposed (attempt 0), given back or retried: attempt, reason
    TRIAL_CLAIMED = "trial.claimed"  #: a worker has it: attempt, worker
    TRIAL_EPOCH = "trial.epoch"  #: attempt, epoch, metrics, duration_s
    TRIAL_ENDED = "trial.ended"  #: attempt, status, reason, metric, cost, energy_pj, bits
    TRIAL_FINAL = "trial.final"  #: a final training: status, epochs, attempt, metric, test_metric, reason


@dataclass(frozen=True, slots=True)
class Entry:
    """An event to be written."""

    type: EventType
    data: Mapping[str, Any] = field(default_factory=dict)
    trial: int | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """The right to write a job's next events: its row is locked until the transaction ends."""

    job_id: str
    first: int  #: id of the first event
    status: JobStatus
    parallel_trials: int


#: Written once, for every write of a worker begins with it.
_TAKE: Final = (
    update(Job)
    .where(Job.id == bindparam("taken_of"))
    .values(version=Job.version + bindparam("taken"))
    .returning(Job.version, Job.status, Job.parallel_trials)
)


def take(session: Session, job_id: str, count: int = 1) -> Turn | None:
    """The ids of the job's next `count` events; None if there is no such job. Those not used are left out.

    It comes before every other write to a job and its trials, so that no two transactions wait for each other.
    """
    row = session.execute(_TAKE, {"taken_of": job_id, "taken": count}).one_or_none()
    if row is None:
        return None
    return Turn(job_id, row.version - count + 1, JobStatus(row.status), row.parallel_trials)


def write(session: Session, turn: Turn, *entries: Entry) -> None:
    """Write events under ids taken before."""
    moment = now()
    rows = [
        {
            "job_id": turn.job_id,
            "id": turn.first + index,
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
    """Write events of a job that is there."""
    if entries:
        turn = take(session, job_id, len(entries))
        if turn is not None:
            write(session, turn, *entries)


def after(session: Session, job_id: str, last: int, limit: int) -> list[Event]:
    """The first `limit` events with ids above `last`, in order."""
    query = select(Event).where(Event.job_id == job_id, Event.id > last).order_by(Event.id).limit(limit)
    return list(session.scalars(query))


def states(session: Session, job_ids: Sequence[str]) -> dict[str, tuple[int, JobStatus]]:
    """Version and status of these jobs; those that are gone are left out."""
    rows = session.execute(select(Job.id, Job.version, Job.status).where(Job.id.in_(job_ids)))
    return {job_id: (version, JobStatus(status)) for job_id, version, status in rows}


def prune(session: Session, before: datetime) -> int:
    """Remove events of jobs that ended before this moment; how many they were."""
    ended = select(Job.id).where(Job.status.in_(JOB_ENDED), Job.finished_at < before)
    removed = session.execute(
        delete(Event)
        .where(Event.created_at < before, Event.job_id.in_(ended))
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", removed).rowcount
