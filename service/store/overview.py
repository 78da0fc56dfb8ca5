"""Workers and leases, as operators see them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, literal, select
from sqlalchemy.orm import Session

from search.history import TrialStatus
from service.store.export_models import Export
from service.store.final_training_models import FinalTraining
from service.store.models import Job, Trial, Worker
from service.store.session import database_now
from service.store.workers import dead_before, host_of


@dataclass(frozen=True, slots=True)
class Lease:
    """Something that a worker does. `remaining_s`: until its lease expires, below 0 once it has."""

    kind: str
    job: str
    trial: int | None
    attempt: int
    worker: str
    remaining_s: float | None


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker process that has reported within a day, and what it does."""

    name: str
    host: str
    alive: bool
    silent_s: float
    running: int
    problem: str | None


#: What is leased: its kind, the rows, and the trial they are about.
_TRIALS: Final = select(
    literal("trial"), Trial.job_id, Trial.number, Trial.attempt, Trial.worker, Trial.lease_until
).where(Trial.status == TrialStatus.RUNNING)


def _of_trials(kind: str, table: Any) -> Select[Any]:
    return (
        select(literal(kind), Trial.job_id, Trial.number, table.attempt, table.worker, table.lease_until)
        .join(Trial, Trial.id == table.trial_id)
        .where(table.status == TrialStatus.RUNNING)
    )


_REPORTS: Final = select(
    literal("report"), Job.id, Job.best_trial, Job.attempt, Job.worker, Job.lease_until
).where(Job.lease_until.is_not(None))


def leased(session: Session) -> list[Lease]:
    """All that workers do now: trials, final trainings, exports, reports and measured sensitivities of jobs."""
    moment = database_now(session)
    queries = (_TRIALS, _of_trials("final training", FinalTraining), _of_trials("export", Export), _REPORTS)
    rows = [row for query in queries for row in session.execute(query)]
    return [
        Lease(kind, job, trial, attempt, worker or "", _seconds(until, moment))
        for kind, job, trial, attempt, worker, until in rows
    ]


def _seconds(until: datetime | None, moment: datetime) -> float | None:
    return None if until is None else round((until - moment).total_seconds(), 1)


def worker_states(session: Session, interval: timedelta) -> list[WorkerState]:
    """Every worker that is known, those that are alive first; `interval`: the time between heartbeats."""
    busy = Counter(lease.worker for lease in leased(session))
    moment, limit = database_now(session), dead_before(session, interval)
    states = [
        WorkerState(
            row.name,
            host_of(row.name),
            row.seen_at >= limit,
            round((moment - row.seen_at).total_seconds(), 1),
            busy[row.name],
            row.problem,
        )
        for row in session.scalars(select(Worker))
    ]
    return sorted(states, key=lambda state: (not state.alive, state.name))
