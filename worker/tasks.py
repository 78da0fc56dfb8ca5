"""The task that runs a trial: open a transaction, call the search, save. It may be called late, twice or never: rows
say what is to be done. `worker.advance` proposes trials, `worker.final_report` reports the best, `worker.sweep` looks
for the dead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from search.errors import Cancelled, Diverged, Fatal, Infeasible, InvalidSpec, OutOfMemory, Retryable
from search.history import JobStatus, Measurement, TrialStatus, Verdict
from search.training.program.lockstep import run_in_lockstep
from service.queue import TaskName
from service.store import claims, draining, jobs, trials, workers
from service.store.blobs import Blob
from service.store.leases import Claim, LeaseStatus
from service.store.session import is_retryable, keep_trying, on_commit, reason_of
from worker import preparation
from worker.backoff import scratch_folder, shortage
from worker.recorder import Judged, LeaseLost, TrialRecorder
from worker.run_trial import measure
from worker.runtime import Runtime
from worker.scratch import scratch

log = logging.getLogger(__name__)


def run_trial(runtime: Runtime, trial_id: int) -> bool:
    """Claim the trial that comes first, train and measure it, store the outcome. Does nothing if none is queued.

    That need not be `trial_id`: a trial of a job with a higher priority comes first. A process for one job runs its
    trials only, and none while one of a higher priority waits. True if the trial has ended; False
    if there was none, another worker has it, or it waits to be tried again.
    """
    if not is_able(runtime):
        return False
    claimed = _claim(runtime, trial_id)
    return bool(claimed) and all(run_in_lockstep([partial(_run, runtime, claim) for claim in claimed]))


def is_able(runtime: Runtime) -> bool:
    """False while the worker is to claim nothing: something failed it just now, its machine is drained, a disk is full.

    Notes a full disk where /readyz shows it. What waits in the queue is offered again by the sweep.
    """
    if runtime.backoff.is_pausing:
        return False
    with runtime.database.reading() as session:
        if draining.is_drained(session, workers.host_of(runtime.worker)):
            return False
    settings = runtime.settings
    problem = shortage((scratch_folder(), settings.blob_folder, settings.home), settings.min_free_mb << 20)
    if problem is not None:
        log.error(problem)
        runtime.backoff.note_failure()
    if runtime.backoff.is_news(problem):
        with runtime.database.transaction(durable=False) as session:
            workers.note_problem(session, runtime.worker, problem)
    return problem is None


def _claim(runtime: Runtime, hint: int) -> list[Claim]:
    """Claim the trials to run now: one, or on an accelerator as many as it trains together, if as many are queued."""
    from search.training.program.jax import trials_per_process  # loads Keras

    claimed: list[Claim] = []
    with runtime.database.transaction(durable=False) as session:
        for _ in range(trials_per_process(runtime.settings.trials_together)):
            claim = claims.claim_next(
                session,
                hint,
                worker=runtime.worker,
                lease=runtime.settings.lease,
                job_id=runtime.job_id,
                capacity=runtime.capacity,
            )
            if claim is None:
                break
            claimed.append(claim)
    return claimed


def _run(runtime: Runtime, claim: Claim) -> bool:
    with structlog.contextvars.bound_contextvars(job=claim.job_id, trial=claim.number):
        try:
            with scratch() as folder:
                return _attempt(runtime, claim, folder)
        except OSError as error:  # of the folder itself
            return _after_error(runtime, claim, error)


def _attempt(runtime: Runtime, claim: Claim, folder: Path) -> bool:
    try:
        with TrialRecorder(runtime.database, runtime.settings, claim, runtime.worker) as recorder:
            measurement, verdict = measure(runtime, claim, recorder, folder)
            _save(runtime, claim, recorder, measurement, verdict, folder)
    except LeaseLost:
        log.warning("trial %s: another worker has it, nothing is stored", claim.trial_id)
        return False
    except Judged as judged:
        _patiently(runtime, partial(_judge, runtime, claim, judged))
    except Cancelled as error:
        _end(runtime, claim, TrialStatus.CANCELLED, str(error))
    except Infeasible as error:
        _end(runtime, claim, TrialStatus.INFEASIBLE, str(error))
    except (Diverged, InvalidSpec, OutOfMemory) as error:
        _end(runtime, claim, TrialStatus.FAILED, str(error))
    except Fatal as error:
        _end(runtime, claim, TrialStatus.FAILED, str(error))
        _patiently(runtime, partial(_end_job, runtime, claim.job_id, str(error)))
    except Exception as error:
        return _after_error(runtime, claim, error)
    runtime.backoff.note_success()
    return True


def _after_error(runtime: Runtime, claim: Claim, error: Exception) -> bool:
    """Give the trial back where the cause lies outside it, else fail it; whether it has ended."""
    is_outside = is_retryable(error)
    if is_outside or isinstance(error, Retryable | OSError):
        log.warning("trial %s is returned to the queue", claim.trial_id, exc_info=True)
        if is_outside:
            runtime.backoff.note_failure()
        reason = str(error) if isinstance(error, Retryable) else reason_of(error)
        _patiently(runtime, partial(_give_back, runtime, claim, reason, counts=not is_outside))
        return False
    log.exception("trial %s failed", claim.trial_id)
    runtime.on_fault()
    _end(runtime, claim, TrialStatus.FAILED, reason_of(error))
    return True


def _patiently(runtime: Runtime, action: Callable[[], None]) -> None:
    """Write what a trial came to, however long the database takes to respond."""
    keep_trying(action, for_s=runtime.settings.patience.total_seconds(), what="the outcome of a trial")


def _give_back(runtime: Runtime, claim: Claim, reason: str, *, counts: bool) -> None:
    limit = runtime.settings.max_attempts
    with runtime.database.transaction() as session:
        claims.release(session, claim, reason, max_attempts=limit, counts=counts)
        runtime.queue.enqueue(TaskName.ADVANCE_JOB, claim.job_id)


def _end_job(runtime: Runtime, job_id: str, reason: str) -> None:
    with runtime.database.transaction() as session:
        jobs.end(session, job_id, JobStatus.FAILED, reason)


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

    Where a disk is full or the database away, the result waits; the heartbeat renews its lease meanwhile.
    """
    patience_s = runtime.settings.patience.total_seconds()
    paths = [path for path in sorted(folder.iterdir()) if path.is_file()]
    files = partial(runtime.blobs.put_all, paths)
    what = f"the result of trial {claim.trial_id}"
    blobs = keep_trying(files, for_s=patience_s, check=recorder.batch, what=what)
    rows = partial(_store, runtime, claim, recorder, measurement, verdict, blobs)
    recorder.check(keep_trying(rows, for_s=patience_s, check=recorder.batch, what=what))


def _store(
    runtime: Runtime,
    claim: Claim,
    recorder: TrialRecorder,
    measurement: Measurement,
    verdict: Verdict | None,
    blobs: dict[str, Blob],
) -> LeaseStatus:
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
                reports=recorder.unstored(session),
            )
            if not is_newest:
                raise LeaseLost
            on_commit(recorder.note_stored)
            runtime.queue.enqueue(TaskName.ADVANCE_JOB, claim.job_id)
    return lease


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
    def end() -> None:
        with runtime.database.transaction() as session:
            claims.end(session, claim, status, reason)
            runtime.queue.enqueue(TaskName.ADVANCE_JOB, claim.job_id)

    _patiently(runtime, end)
