"""The sensitivity of a job, measured once by one worker before its first trials are proposed.

The job's row is leased to the worker, as for the final report. Nothing fences its result: whoever measures finds the
same, and the first result stays.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, update
from sqlalchemy.orm import Session

from search.history import JobStatus
from service.store import jobs
from service.store.lifecycle import OPEN
from service.store.models import Job
from service.store.session import database_now

#: In these the measurement goes on.
_WANTED = OPEN | {JobStatus.PAUSED}


def claim(session: Session, job_id: str, *, worker: str, lease: timedelta) -> bool:
    """Claim the measurement; the job's time begins. False if another worker has it or the job does not want it."""
    job, moment = jobs.locked(session, job_id), database_now(session)
    is_leased = job.lease_until is not None and job.lease_until >= moment
    if job.status not in OPEN or job.sensitivity is not None or is_leased:
        return False
    job.lease_until, job.worker = moment + lease, worker
    job.started_at = job.started_at or moment
    if job.status == JobStatus.QUEUED:
        jobs.set_status(session, job, JobStatus.RUNNING)
    return True


def renew(session: Session, job_id: str, *, worker: str, lease: timedelta) -> bool:
    """Renew the lease; False if the measurement is to end: the job does not want it, or another worker has it."""
    mine = (Job.id == job_id, Job.worker == worker, Job.sensitivity.is_(None), Job.status.in_(_WANTED))
    changed = session.execute(
        update(Job)
        .where(*mine)
        .values(lease_until=database_now(session) + lease)
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", changed).rowcount == 1


def store(session: Session, job_id: str, sensitivity: dict[str, Any]) -> None:
    """Store what was measured, unless it was stored before; the lease ends."""
    job = jobs.locked(session, job_id)
    if job.sensitivity is None and job.status in _WANTED:
        job.sensitivity = sensitivity
        job.lease_until = None
        job.version += 1


def release(session: Session, job_id: str, *, worker: str) -> None:
    """Give the measurement back; the sweep has it tried again."""
    mine = (Job.id == job_id, Job.worker == worker, Job.sensitivity.is_(None))
    session.execute(update(Job).where(*mine).values(lease_until=None))
