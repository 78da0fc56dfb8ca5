"""A trial run, and the sweep: open a transaction, call the search, save. May be called late, twice or never: rows
decide. `worker.advance` says which trials there are, `worker.final_report` reports the best.
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

#: What brings a job in this state on.
_NEXT_TASK = {JobStatus.FINALIZING: TaskName.WRITE_REPORT}


# --- run -----------------------------------------------------------------------------------------------------------


def run_trial(runtime: Runtime, trial_id: int) -> bool:
    """Claim the trial whose turn it is, train and measure it, store the outcome. Does nothing if none is queued.

    That need not be the one the message names: a trial of a job with a higher priority comes first. False unless the
    trial has ended: there was none, somebody else has it, or it waits to be tried again.
    """
    held = _claimed(runtime, trial_id)
    return bool(held) and all(run_in_lockstep([partial(_run, runtime, each) for each in held]))


def _claimed(runtime: Runtime, hint: int) -> list[Claim]:
    """The trials to run now: one, or on an accelerator as many as it trains together, if there are so many."""
    from search.training.program.jax import trials_per_process  # loads Keras

    found: list[Claim] = []
    with runtime.database.transaction(durable=False) as session:
        for _ in range(trials_per_process(runtime.settings.trials_together)):
            held = claims.claim_next(session, hint, worker=runtime.worker, lease=runtime.settings.lease)
            if held is None:
                break
            found.append(held)
    return found


def _run(runtime: Runtime, held: Claim) -> bool:
    about = structlog.contextvars.bound_contextvars(job=held.job_id, trial=held.number)
    with about, scratch() as folder:
        return _attempt(runtime, held, folder)


def _attempt(runtime: Runtime, held: Claim, folder: Path) -> bool:
    try:
        with TrialRecorder(runtime.database, runtime.settings, held, runtime.worker) as recorder:
            measurement, verdict = measure(runtime, held, recorder, folder)
            _save(runtime, held, recorder, measurement, verdict, folder)
    except LeaseLost:
        log.warning("trial %s: another worker has it, nothing is stored", held.trial_id)
        return False
    except Judged as judged:
        _judge(runtime, held, judged)
    except Cancelled as error:
        _end(runtime, held, TrialStatus.CANCELLED, str(error))
    except Infeasible as error:
        _end(runtime, held, TrialStatus.INFEASIBLE, str(error))
    except (Diverged, InvalidSpec, OutOfMemory) as error:
        _end(runtime, held, TrialStatus.FAILED, str(error))
    except Fatal as error:
        _end(runtime, held, TrialStatus.FAILED, str(error))
        with runtime.database.transaction() as session:
            jobs.end(session, held.job_id, JobStatus.FAILED, str(error))
    except (Retryable, OSError) as error:
        log.warning("trial %s goes back to the queue", held.trial_id, exc_info=True)
        with runtime.database.transaction() as session:
            claims.release(session, held, str(error), max_attempts=runtime.settings.max_attempts)
            runtime.queue.enqueue(TaskName.ADVANCE_JOB, held.job_id)
        return False
    except Exception as error:
        log.exception("trial %s failed", held.trial_id)
        _end(runtime, held, TrialStatus.FAILED, f"{type(error).__name__}: {error}")
    return True


def _save(
    runtime: Runtime,
    held: Claim,
    recorder: TrialRecorder,
    measurement: Measurement,
    verdict: Verdict | None,
    folder: Path,
) -> None:
    """Bytes first, then the row that names them: what is named is there. Raises Cancelled where the user ended the job,
    LeaseLost where another worker has the trial.
    """
    blobs = runtime.blobs.put_all(path for path in sorted(folder.iterdir()) if path.is_file())
    with runtime.database.transaction() as session:
        lease = claims.lease_status(session, held)
        if lease is LeaseStatus.HELD:
            kept = claims.finish(
                session,
                held,
                measurement,
                artifacts=blobs,
                versions=preparation.versions(),
                verdict=verdict,
                reports=recorder.unstored,
            )
            if not kept:
                raise LeaseLost
            on_commit(recorder.note_stored)
            runtime.queue.enqueue(TaskName.ADVANCE_JOB, held.job_id)
    recorder.check(lease)


def _judge(runtime: Runtime, held: Claim, judged: Judged) -> None:
    """End a trial by a proof; one given up while training has its metric so far, and what that costs."""
    cost = None
    with runtime.database.reading() as session:
        record = trials.record(trials.get(session, held.job_id, held.number))
        spec = preparation.specification(jobs.get(session, held.job_id))
    if judged.metric is not None:
        cost = preparation.plan(runtime, held.job_id, spec).pricer.price(record.assignment)
    with runtime.database.transaction() as session:
        claims.judge(session, held, judged.verdict, judged.metric, cost)
        runtime.queue.enqueue(TaskName.ADVANCE_JOB, held.job_id)


def _end(runtime: Runtime, held: Claim, status: TrialStatus, reason: str) -> None:
    with runtime.database.transaction() as session:
        claims.end(session, held, status, reason)
        runtime.queue.enqueue(TaskName.ADVANCE_JOB, held.job_id)


# --- sweep ---------------------------------------------------------------------------------------------------------


def sweep(runtime: Runtime) -> None:
    """Take back what dead workers held, send again the messages that may have been lost, remove what is out of date.

    Each part is a transaction of its own: none waits for rows while it holds others.
    """
    database, queue, settings = runtime.database, runtime.queue, runtime.settings
    with database.transaction() as session:
        workers.heartbeat(session, runtime.worker)
    with database.reading() as session:
        expired = claims.expired(session, is_surely_dead)
    for held in expired:
        with database.transaction() as session:
            _take_back(session, held, settings.max_attempts)
            queue.enqueue(TaskName.RUN_TRIAL, held.trial_id)
            queue.enqueue(TaskName.ADVANCE_JOB, held.job_id)
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


def _take_back(session: Session, held: Claim, max_attempts: int) -> None:
    claims.release(session, held, "the worker died", max_attempts=max_attempts, outcome=AttemptOutcome.LOST)
