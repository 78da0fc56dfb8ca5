"""The tasks that run a trial, and sweep: open a transaction, call the search, save. They may be called late, twice or
never: rows say what is to be done. `worker.advance` proposes trials, `worker.final_report` reports the best.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy.orm import Session

from search.errors import Cancelled, Diverged, Fatal, Infeasible, InvalidSpec, OutOfMemory, Retryable
from search.history import AttemptOutcome, JobStatus, Measurement, TrialStatus, Verdict
from search.training.program.lockstep import run_in_lockstep
from service.queue import TaskName
from service.store import claims, deferred_deletes, events, idempotency, jobs, trials, workers
from service.store.leases import Claim, LeaseStatus
from service.store.models import now
from service.store.session import on_commit
from worker import preparation, uploads
from worker.recorder import Judged, LeaseLost, TrialRecorder
from worker.run_trial import measure
from worker.runtime import Runtime, is_surely_dead
from worker.scratch import remove_abandoned, scratch

log = logging.getLogger(__name__)

#: The task that advances a job in this status; of others it is ADVANCE_JOB.
_NEXT_TASK = {JobStatus.FINALIZING: TaskName.WRITE_REPORT}


# --- run -----------------------------------------------------------------------------------------------------------


def run_trial(runtime: Runtime, trial_id: int) -> bool:
    """Claim the trial that comes first, train and measure it, store the outcome. Does nothing if none is queued.

    That need not be `trial_id`: a trial of a job with a higher priority comes first. A process for one job runs its
    trials only, and none while one of a higher priority waits. True if the trial has ended; False
    if there was none, another worker has it, or it waits to be tried again.
    """
    claimed = _claim(runtime, trial_id)
    return bool(claimed) and all(run_in_lockstep([partial(_run, runtime, claim) for claim in claimed]))


def _claim(runtime: Runtime, hint: int) -> list[Claim]:
    """Claim the trials to run now: one, or on an accelerator as many as it trains together, if as many are queued."""
    from search.training.program.jax import trials_per_process  # loads Keras

    claimed: list[Claim] = []
    with runtime.database.transaction(durable=False) as session:
        for _ in range(trials_per_process(runtime.settings.trials_together)):
            claim = claims.claim_next(
                session, hint, worker=runtime.worker, lease=runtime.settings.lease, job_id=runtime.job_id
            )
            if claim is None:
                break
            claimed.append(claim)
    return claimed


def _run(runtime: Runtime, claim: Claim) -> bool:
    about = structlog.contextvars.bound_contextvars(job=claim.job_id, trial=claim.number)
    with about, scratch() as folder:
        return _attempt(runtime, claim, folder)


def _attempt(runtime: Runtime, claim: Claim, folder: Path) -> bool:
    try:
        with TrialRecorder(runtime.database, runtime.settings, claim, runtime.worker) as recorder:
            measurement, verdict = measure(runtime, claim, recorder, folder)
            _save(runtime, claim, recorder, measurement, verdict, folder)
    except LeaseLost:
        log.warning("trial %s: another worker has it, nothing is stored", claim.trial_id)
        return False
    except Judged as judged:
        _judge(runtime, claim, judged)
    except Cancelled as error:
        _end(runtime, claim, TrialStatus.CANCELLED, str(error))
    except Infeasible as error:
        _end(runtime, claim, TrialStatus.INFEASIBLE, str(error))
    except (Diverged, InvalidSpec, OutOfMemory) as error:
        _end(runtime, claim, TrialStatus.FAILED, str(error))
    except Fatal as error:
        _end(runtime, claim, TrialStatus.FAILED, str(error))
        with runtime.database.transaction() as session:
            jobs.end(session, claim.job_id, JobStatus.FAILED, str(error))
    except (Retryable, OSError) as error:
        log.warning("trial %s is returned to the queue", claim.trial_id, exc_info=True)
        with runtime.database.transaction() as session:
            claims.release(session, claim, str(error), max_attempts=runtime.settings.max_attempts)
            runtime.queue.enqueue(TaskName.ADVANCE_JOB, claim.job_id)
        return False
    except Exception as error:
        log.exception("trial %s failed", claim.trial_id)
        _end(runtime, claim, TrialStatus.FAILED, f"{type(error).__name__}: {error}")
    return True


def _save(
    runtime: Runtime,
    claim: Claim,
    recorder: TrialRecorder,
    measurement: Measurement,
    verdict: Verdict | None,
    folder: Path,
) -> None:
    """Store bytes first, then the rows that reference them, so that what is referenced exists. Raises Cancelled if the
    user ended the job, LeaseLost if another worker has the trial.
    """
    blobs = runtime.blobs.put_all(path for path in sorted(folder.iterdir()) if path.is_file())
    with runtime.database.transaction() as session:
        lease = claims.lease_status(session, claim)
        if lease is LeaseStatus.HELD:
            is_newest = claims.finish(
                session,
                claim,
                measurement,
                artifacts=blobs,
                versions=preparation.versions(),
                verdict=verdict,
                reports=recorder.unstored,
            )
            if not is_newest:
                raise LeaseLost
            on_commit(recorder.note_stored)
            runtime.queue.enqueue(TaskName.ADVANCE_JOB, claim.job_id)
    recorder.check(lease)


def _judge(runtime: Runtime, claim: Claim, judged: Judged) -> None:
    """End a trial by a proof; one that was stopped while training has its metric so far, and its cost."""
    cost = None
    with runtime.database.reading() as session:
        record = trials.record(trials.get(session, claim.job_id, claim.number))
        spec = preparation.specification(jobs.get(session, claim.job_id))
    if judged.metric is not None:
        cost = preparation.plan(runtime, claim.job_id, spec).pricer.price(record.assignment)
    with runtime.database.transaction() as session:
        claims.judge(session, claim, judged.verdict, judged.metric, cost)
        runtime.queue.enqueue(TaskName.ADVANCE_JOB, claim.job_id)


def _end(runtime: Runtime, claim: Claim, status: TrialStatus, reason: str) -> None:
    with runtime.database.transaction() as session:
        claims.end(session, claim, status, reason)
        runtime.queue.enqueue(TaskName.ADVANCE_JOB, claim.job_id)


# --- sweep ---------------------------------------------------------------------------------------------------------


def sweep(runtime: Runtime) -> None:
    """Return what dead workers had claimed to the queue, resend messages that may be lost, remove what is out of date.

    Each part is a separate transaction: none waits for rows while it has locked others.
    """
    database, queue, settings = runtime.database, runtime.queue, runtime.settings
    with database.transaction() as session:
        workers.heartbeat(session, runtime.worker)
    with database.reading() as session:
        expired = claims.expired(session, is_surely_dead)
    for claim in expired:
        with database.transaction() as session:
            _release_lost(session, claim, settings.max_attempts)
            queue.enqueue(TaskName.RUN_TRIAL, claim.trial_id)
            queue.enqueue(TaskName.ADVANCE_JOB, claim.job_id)
    with database.transaction() as session:
        for trial_id in claims.resend(session, now() - settings.resend):
            queue.enqueue(TaskName.RUN_TRIAL, trial_id)
    with database.transaction() as session:
        for job_id, status in jobs.stalled(session, now() - settings.resend, is_surely_dead):
            queue.enqueue(_NEXT_TASK.get(status, TaskName.ADVANCE_JOB), job_id)
    with database.transaction() as session:
        idempotency.prune(session, now() - settings.idempotency)
        events.prune(session, now() - settings.events)
        deferred_deletes.remove(session, runtime.blobs, now() - settings.discard)
    uploads.sweep(runtime)
    remove_abandoned()


def _release_lost(session: Session, claim: Claim, max_attempts: int) -> None:
    claims.release(session, claim, "the worker died", max_attempts=max_attempts, outcome=AttemptOutcome.LOST)
