"""The actions of users on jobs, as changes of rows. `service.store.lifecycle` has the table of legal actions; others
raise IllegalAction. Every action locks the job first.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete as delete_rows
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from search.history import JOB_ENDED, Cause, JobStatus, TrialStatus
from service.store import deferred_deletes, events, jobs, lifecycle
from service.store.events import Entry, EventType
from service.store.export_models import Export
from service.store.lifecycle import JobAction
from service.store.models import Artifact, Job, Trial, now
from service.store.session import database_now

#: Parts of a specification that may change after the job was created.
CHANGEABLE = ("budget", "parallel_trials", "priority")


def check(session: Session, job_id: str, action: JobAction) -> tuple[Job, JobStatus]:
    """The locked job and the status that the action leads to; IllegalAction."""
    job = jobs.locked(session, job_id)
    failed = jobs.any_failed(session, job_id)
    return job, lifecycle.after(action, JobStatus(job.status), failed_trials=failed)


def pause(session: Session, job_id: str) -> Job:
    """Let no further trial start: running ones go on, queued ones wait."""
    job, target = check(session, job_id, JobAction.PAUSE)
    if job.status != target:
        job.paused_at = database_now(session)
        jobs.set_status(session, job, target, reason="paused by its user", cause=Cause.USER)
    return job


def resume(session: Session, job_id: str) -> Job:
    """Go on after a pause, which does not count against a time budget."""
    job, target = check(session, job_id, JobAction.RESUME)
    if job.status != target:
        _end_pause(session, job)
        job.checked_at = now()
        _queue_again(session, job_id)
        jobs.set_status(session, job, target)
    return job


def stop(session: Session, job_id: str) -> Job:
    """Cancel the queued trials; once the running ones have ended, the best is reported."""
    job, target = check(session, job_id, JobAction.STOP)
    if job.status != target:
        _end_pause(session, job)
        jobs.cancel_queued(session, job_id, "the job was stopped")
        jobs.set_status(session, job, target, reason="stopped by its user", cause=Cause.USER)
    return job


def cancel(session: Session, job_id: str) -> Job:
    """Cancel the queued trials now and the running ones by their workers; then the job ends."""
    job, target = check(session, job_id, JobAction.CANCEL)
    if job.status == target:
        return job
    _end_pause(session, job)
    jobs.cancel_queued(session, job_id, "the job was cancelled")
    if jobs.any_running(session, job_id):
        jobs.set_status(session, job, target, reason="cancelled by its user", cause=Cause.USER)
    else:
        jobs.end(session, job_id, JobStatus.CANCELLED, "cancelled by its user", cause=Cause.USER)
    return job


def retry(session: Session, job_id: str) -> Job:
    """Queue every failed trial again, for as many attempts as a new one; a job that has ended runs again."""
    job, target = check(session, job_id, JobAction.RETRY)
    moment = now()
    rows = session.execute(
        update(Trial)
        .where(Trial.job_id == job_id, Trial.status == TrialStatus.FAILED)
        .values(
            status=TrialStatus.QUEUED,
            attempts_before=Trial.attempt,
            reason=None,
            finished_at=None,
            enqueued_at=moment,
        )
        .returning(Trial.number, Trial.attempt)
    ).all()
    entries = (
        Entry(EventType.TRIAL_QUEUED, {"attempt": row.attempt, "reason": "retried by the user"}, row.number)
        for row in sorted(rows, key=lambda row: row.number)
    )
    events.append(session, job_id, *entries)
    _run_again(session, job, target)
    return job


def extend(session: Session, job_id: str, spec: Mapping[str, Any]) -> Job:
    """Run a job that has ended under a larger budget: that of `spec`, which otherwise equals the job's."""
    job, target = check(session, job_id, JobAction.EXTEND)
    _respecify(session, job, spec)
    _run_again(session, job, target)
    return job


def patch(session: Session, job_id: str, spec: Mapping[str, Any]) -> Job:
    """Change a job that has not ended: `spec` equals the job's but for `CHANGEABLE`."""
    job, _ = check(session, job_id, JobAction.PATCH)
    _respecify(session, job, spec)
    return job


def delete(session: Session, job_id: str) -> None:
    """Delete a job that has ended with all its rows; the sweep removes content that no other row references."""
    job, _ = check(session, job_id, JobAction.DELETE)
    trials = select(Trial.id).where(Trial.job_id == job.id)
    deferred_deletes.discard(session, select(Artifact.sha256).where(Artifact.trial_id.in_(trials)))
    exported = select(Export.sha256).where(Export.trial_id.in_(trials), Export.sha256.is_not(None))
    deferred_deletes.discard(session, exported)
    session.execute(delete_rows(Job).where(Job.id == job.id).execution_options(synchronize_session=False))
    session.expunge(job)


def startable(session: Session, job: Job) -> list[int]:
    """Ids of the queued trials to send messages for, at most as many as may run in parallel."""
    if job.status not in lifecycle.CLAIMABLE:
        return []
    query = select(Trial.id).where(Trial.job_id == job.id, Trial.status == TrialStatus.QUEUED)
    return list(session.scalars(query.order_by(Trial.id).limit(job.parallel_trials)))


def _respecify(session: Session, job: Job, spec: Mapping[str, Any]) -> None:
    changed = {name: spec[name] for name in CHANGEABLE if spec[name] != job.spec.get(name)}
    if not changed:
        return
    job.spec = dict(spec)
    job.priority = spec["priority"]
    job.parallel_trials = spec["parallel_trials"]
    job.exhausted = False  # what did not fit the old budget may fit the new one: the oracle is asked again
    events.append(session, job.id, Entry(EventType.JOB_CHANGED, changed))


def _run_again(session: Session, job: Job, target: JobStatus) -> None:
    if job.status in JOB_ENDED:
        job.idle_s += _seconds_since(session, job.finished_at)
        job.finished_at = None
        job.best_trial = None
        job.failures = 0
        job.exhausted = False
        job.checked_at = now()
        jobs.set_status(session, job, target)


def _end_pause(session: Session, job: Job) -> None:
    if job.paused_at is not None and job.started_at is not None:
        job.idle_s += _seconds_since(session, job.paused_at)
    job.paused_at = None


def _seconds_since(session: Session, moment: datetime | None) -> float:
    return 0.0 if moment is None else max((database_now(session) - moment).total_seconds(), 0.0)


def _queue_again(session: Session, job_id: str) -> None:
    """Note that the messages of the queued trials are sent now."""
    session.execute(
        update(Trial)
        .where(Trial.job_id == job_id, Trial.status == TrialStatus.QUEUED)
        .values(enqueued_at=now())
        .execution_options(synchronize_session=False)
    )
