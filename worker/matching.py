"""What a message asks of this worker: the jobs whose processes it wakes, or a worker that has what they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from service.queue import TaskName
from service.store import capacity, claims, exports, final_trainings, jobs, turns
from service.store.capacity import Request
from worker.runtime import Runtime

#: Tasks whose message names the job itself.
_OF_JOBS: Final = (TaskName.ADVANCE_JOB, TaskName.WRITE_REPORT)


@dataclass(frozen=True, slots=True)
class JobWork:
    """A job, and what its process may use."""

    id: str
    request: Request


@dataclass(frozen=True, slots=True)
class Work:
    """The job that a message is about; `urgent`: one that goes first. None: there is nothing to do any more.

    `passes_on`: what another message is to name, since its job needs another worker, which has room.
    """

    job: JobWork | None = None
    urgent: JobWork | None = None
    passes_on: str | int | None = None


def work_of(runtime: Runtime, task: TaskName, *ids: str | int) -> Work:
    """What to do about a message; one session reads it all, for every message waits for it."""
    with runtime.database.reading() as session:
        job_id = _job_of(session, runtime, task, *ids)
        if job_id is None:
            return _of_others(session, runtime, int(ids[0])) if task is TaskName.RUN_TRIAL else Work()
        job = _job_work(session, job_id)
        if job is None:
            return Work()
        if runtime.capacity is not None and not job.request.fits(runtime.capacity):
            has_room = capacity.has_free_slot(session, job.request, runtime.settings.heartbeat)
            return Work(passes_on=ids[0] if has_room else None)
        urgent = jobs.first_unstarted(session, job_id, runtime.capacity)
        return Work(job, None if urgent is None else _job_work(session, urgent))


def _job_of(session: Session, runtime: Runtime, task: TaskName, *ids: str | int) -> str | None:
    if task in _OF_JOBS:
        return str(ids[0])
    if task is TaskName.RUN_TRIAL:
        return claims.next_job(session, int(ids[0]), runtime.capacity)
    if task is TaskName.MAKE_EXPORT:
        return exports.job_of(session, int(ids[0]))
    return final_trainings.job_of(session, int(ids[0]))


def _of_others(session: Session, runtime: Runtime, hint: int) -> Work:
    """No trial fits this worker: the message goes on if one fits another worker, which has room."""
    if runtime.capacity is None:
        return Work()
    first = turns.first_elsewhere(session, hint, runtime.capacity)
    job = None if first is None else _job_work(session, first.job_id)
    if first is None or job is None:
        return Work()
    has_room = capacity.has_free_slot(session, job.request, runtime.settings.heartbeat)
    return Work(passes_on=first.id if has_room else None)


def _job_work(session: Session, job_id: str) -> JobWork | None:
    request = capacity.request_of(session, job_id)
    return None if request is None else JobWork(job_id, request)
