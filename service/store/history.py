"""How jobs went and what is going on: columns of attempts and choices, live workers, jobs that wait."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from search.history import JOB_ENDED, TrialStatus
from service.store.models import Attempt, Event, Job, Trial, Worker
from service.store.workers import dead_before

#: trial, attempt, worker, started_at, ended_at, outcome, reason
AttemptRow = tuple[int, int, str, datetime, datetime | None, str | None, str | None]


def attempts(session: Session, job_id: str) -> Sequence[Any]:
    """Every attempt at a trial of the job, an `AttemptRow` each, by start."""
    columns = (
        Attempt.attempt,
        Attempt.worker,
        Attempt.started_at,
        Attempt.ended_at,
        Attempt.outcome,
        Attempt.reason,
    )
    return session.execute(
        select(Trial.number, *columns)
        .join(Trial, Trial.id == Attempt.trial_id)
        .where(Trial.job_id == job_id)
        .order_by(Attempt.started_at, Trial.number, Attempt.attempt)
    ).all()


def choices(
    session: Session, job_id: str, numbers: Sequence[int] | None, limit: int, labels: int
) -> list[tuple[int, dict[str, Any]]]:
    """Number and choices of the named trials, or of the newest `limit` measured ones; by number. Of trials with more
    than so many `labels` together, the newest ones.
    """
    query = select(Trial.number, Trial.assignment["values"]).where(Trial.job_id == job_id)
    if numbers is None:
        query = query.where(Trial.status == TrialStatus.DONE).limit(limit)
    else:
        query = query.where(Trial.number.in_(numbers))
    rows: list[tuple[int, dict[str, Any]]] = []
    for number, values in session.execute(
        query.order_by(Trial.number.desc()).execution_options(yield_per=20)
    ):
        labels -= len(values or {})
        if labels < 0 and rows:
            break
        rows.append((number, values or {}))
    return rows[::-1]


def changed_trials(session: Session, job_id: str, after: int) -> list[int] | None:
    """Numbers of the trials with events above `after`; None if those events may have been removed."""
    oldest = session.scalar(select(func.min(Event.id)).where(Event.job_id == job_id))
    if oldest is None or oldest > after:
        return None
    changed = select(Event.trial).where(Event.job_id == job_id, Event.id > after, Event.trial.is_not(None))
    return [
        number for number in session.scalars(changed.distinct().order_by(Event.trial)) if number is not None
    ]


def live_workers(session: Session, heartbeat: timedelta) -> list[Worker]:
    """The worker processes that are alive, by name."""
    return list(
        session.scalars(
            select(Worker).where(Worker.seen_at >= dead_before(session, heartbeat)).order_by(Worker.name)
        )
    )


def running_trials(session: Session) -> dict[str, tuple[str, int, datetime | None]]:
    """Worker -> job, number and start of the trial that it runs; of the session's tenant alone."""
    rows = session.execute(
        select(Trial.worker, Trial.job_id, Trial.number, Trial.started_at)
        .join(Job, Job.id == Trial.job_id)
        .where(Trial.status == TrialStatus.RUNNING, Trial.worker.is_not(None))
    )
    return {
        worker: (job_id, number, started_at)
        for worker, job_id, number, started_at in rows
        if worker is not None
    }


def waiting_jobs(session: Session) -> Sequence[Any]:
    """Jobs that have not ended, with counts of queued and running trials, in the order in which they are served."""

    def count(status: TrialStatus) -> Any:
        return func.coalesce(func.sum(case((Trial.status == status, 1), else_=0)), 0)

    return session.execute(
        select(
            Job.id,
            Job.name,
            Job.status,
            Job.priority,
            Job.parallel_trials,
            count(TrialStatus.QUEUED),
            count(TrialStatus.RUNNING),
            Job.created_at,
        )
        .outerjoin(Trial, Trial.job_id == Job.id)
        .where(Job.status.not_in(JOB_ENDED))
        .group_by(Job.id)
        .order_by(Job.priority.desc(), Job.created_at)
    ).all()
