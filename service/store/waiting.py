"""Why a job waits: no worker is alive, or those that are alive do not take it. With the remedy, for people."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from search.history import JOB_ENDED, JobStatus, TrialStatus
from search.installation import cannot_train
from service.store import capacity, workers
from service.store.models import Event, Job, Trial, Worker, now

#: A job that a live worker has not begun after this time is worth a word: a message takes less than a second.
_PATIENCE: Final = timedelta(seconds=25)


def without_worker(session: Session, heartbeat: timedelta) -> str | None:
    """Why nothing runs, and the remedy; None if a worker has reported recently.

    `session`: of all tenants; `heartbeat`: the time between the reports of a worker.
    """
    seen = workers.last_seen(session)
    if seen is not None and seen >= workers.dead_before(session, heartbeat):
        return None
    last = "" if seen is None else f" (the last one did at {seen:%Y-%m-%d %H:%M:%S} UTC)"
    state = (
        f"no worker has reported recently{last}; start one with `fewbits worker`, or `fewbits serve` without"
        " --no-worker"
    )
    reason = cannot_train()
    return state if reason is None else f"{state}. On the machine of the API, {reason}"


def waiting(session: Session, job: Job, heartbeat: timedelta) -> str | None:
    """Why no worker works on a job that has not ended, and the remedy; None if one does, or none needs to.

    `session`: of all tenants.
    """
    if job.status in JOB_ENDED or job.status == JobStatus.PAUSED or _is_in_work(session, job, heartbeat):
        return None
    if (reason := without_worker(session, heartbeat)) is not None:
        return reason
    request = capacity.request_of(session, job.id)
    if request is not None and (reason := capacity.unmet(session, request, heartbeat)) is not None:
        return reason
    since = _waits_since(session, job)
    if since > now() - _PATIENCE:
        return None
    alive = workers.alive(session, heartbeat)
    if workers.problems(session, heartbeat):
        return "the disk of a worker has no room for another trial: free some (its log names the folder)"
    return (
        f"no worker has begun its next trial for {(now() - since).total_seconds():.0f} s, though "
        f"{'one is' if alive == 1 else f'{alive} are'} alive: it is being prepared, they are busy with other work, or"
        " they are connected to another broker than the API (compare FEWBITS_BROKER_URL, FEWBITS_HOME there and here)"
    )


def _is_in_work(session: Session, job: Job, heartbeat: timedelta) -> bool:
    """Whether a worker that is alive trains a trial of the job, or has the lease of the job itself.

    Leases alone do not tell: without any worker nobody takes back what a dead one had.
    """
    training = select(Trial.worker).where(Trial.job_id == job.id, Trial.status == TrialStatus.RUNNING)
    names = {*session.scalars(training), job.worker if job.lease_until is not None else None}
    alive = select(Worker.name).where(
        Worker.name.in_(names), Worker.seen_at >= workers.dead_before(session, heartbeat)
    )
    return session.scalar(alive.limit(1)) is not None


def _waits_since(session: Session, job: Job) -> datetime:
    """When something last happened in the job."""
    event = session.get(Event, (job.id, job.version))
    return job.created_at if event is None else event.created_at
