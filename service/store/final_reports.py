"""The final report of a job: once its search is over, one worker measures the best trial on the test data.

The job's row is leased to the worker, as in `service.store.leases`. Not to be confused with the final training of a
chosen trial (`service.store.final_trainings`).
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from search.history import TRIAL_ENDED, Cause, JobStatus
from service.store import jobs
from service.store.lifecycle import CLAIMABLE
from service.store.models import Job, Trial
from service.store.session import database_now


def start(session: Session, job_id: str, best_trial: int, reason: str, cause: Cause | None = None) -> bool:
    """End the search: the job is FINALIZING and `best_trial` is to be reported. False if the search is not over: the
    job has open trials, or ended.
    """
    job = jobs.locked(session, job_id)
    open_trials = select(Trial.id).where(Trial.job_id == job_id, Trial.status.not_in(TRIAL_ENDED))
    if job.status not in CLAIMABLE or session.scalar(open_trials.limit(1)) is not None:
        return False
    job.best_trial = best_trial
    jobs.set_status(session, job, JobStatus.FINALIZING, reason=reason, cause=cause)
    return True


def claim(session: Session, job_id: str, *, worker: str, lease: timedelta) -> int | None:
    """Claim the report of a FINALIZING job; the number of the attempt, or None if another worker has it."""
    moment = database_now(session)
    return session.scalar(
        update(Job)
        .where(
            Job.id == job_id,
            Job.status == JobStatus.FINALIZING,
            or_(Job.lease_until.is_(None), Job.lease_until < moment),
        )
        .values(attempt=Job.attempt + 1, lease_until=moment + lease, worker=worker)
        .returning(Job.attempt)
    )


def is_newest(session: Session, job_id: str, attempt: int) -> bool:
    """True if no later attempt at the report was made and it is still wanted; locks the job."""
    job = jobs.locked(session, job_id)
    return job.status == JobStatus.FINALIZING and job.attempt == attempt


def release(session: Session, job_id: str, attempt: int, *, counts: bool = True) -> None:
    """Return the report to the queue; the sweep has it tried again. One that does not count is forgotten."""
    fewer = 0 if counts else 1
    session.execute(
        update(Job)
        .where(Job.id == job_id, Job.attempt == attempt)
        .values(lease_until=None, attempt=Job.attempt - fewer)
    )


def of_worker(session: Session, worker: str) -> list[tuple[str, int]]:
    """The jobs whose report a worker is making, and the number of its attempt."""
    rows = session.execute(
        select(Job.id, Job.attempt).where(
            Job.status == JobStatus.FINALIZING, Job.worker == worker, Job.lease_until.is_not(None)
        )
    )
    return [(job_id, attempt) for job_id, attempt in rows]
