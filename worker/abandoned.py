"""What a process leaves when it ends in the middle of its work: it fails, or is tried again."""

from __future__ import annotations

from dataclasses import dataclass

from search.history import AttemptOutcome, JobStatus, TrialStatus
from service.queue import TaskName
from service.store import claims, exports, final_reports, final_trainings, jobs
from service.store.leases import Claim
from worker.runtime import Runtime


def settle(runtime: Runtime, task: TaskName, job_id: str, reason: str, *, is_over: bool) -> None:
    """Settle what the process of a job was doing for this worker: it fails for this reason if `is_over`, since it would
    end the same way again; otherwise it is returned to the queue.

    A process that had claimed nothing was advancing its job: that is counted as an error of the search.
    """
    had_claims = _settle_claims(runtime, runtime.worker, _Verdict(reason, is_over=is_over))
    if not had_claims and task is TaskName.ADVANCE_JOB:
        with runtime.database.transaction() as session:
            jobs.note_failure(session, job_id, reason, limit=runtime.settings.max_attempts)


def give_back(runtime: Runtime, reason: str, worker: str | None = None) -> None:
    """Return all that a worker (by default this one) has claimed to the queue. No attempt counts: none has failed."""
    _settle_claims(runtime, worker or runtime.worker, _Verdict(reason, counts=False))


@dataclass(frozen=True)
class _Verdict:
    """What becomes of a claim, and why."""

    reason: str
    is_over: bool = False  #: it fails, and is not tried again
    counts: bool = True  #: it is an attempt


def _settle_claims(runtime: Runtime, worker: str, verdict: _Verdict) -> bool:
    """Settle everything that a worker has claimed; whether there was anything."""
    with runtime.database.reading() as session:
        trials = claims.of_worker(session, worker)
        trainings = final_trainings.of_worker(session, worker)
        reports = final_reports.of_worker(session, worker)
        exporting = exports.of_worker(session, worker)
    for trial in trials:
        _settle_trial(runtime, trial, verdict)
    for training in trainings:
        _settle_training(runtime, training, verdict)
    for export in exporting:
        _settle_export(runtime, export, verdict)
    for job, attempt in reports:
        _settle_report(runtime, job, attempt, verdict)
    return bool(trials or trainings or reports or exporting)


def _settle_trial(runtime: Runtime, claim: Claim, verdict: _Verdict) -> None:
    with runtime.database.transaction() as session:
        if verdict.is_over:
            claims.end(session, claim, TrialStatus.FAILED, verdict.reason)
        else:
            claims.release(
                session,
                claim,
                verdict.reason,
                max_attempts=runtime.settings.max_attempts,
                outcome=AttemptOutcome.LOST if verdict.counts else AttemptOutcome.RELEASED,
                counts=verdict.counts,
            )
            runtime.queue.enqueue(TaskName.RUN_TRIAL, claim.trial_id)
        runtime.queue.enqueue(TaskName.ADVANCE_JOB, claim.job_id)


def _settle_training(runtime: Runtime, claim: final_trainings.FinalTrainingClaim, verdict: _Verdict) -> None:
    with runtime.database.transaction() as session:
        if verdict.is_over:
            final_trainings.fail(session, claim, verdict.reason)
        else:
            final_trainings.release(
                session,
                claim,
                verdict.reason,
                max_attempts=runtime.settings.max_attempts,
                counts=verdict.counts,
            )
            runtime.queue.enqueue(TaskName.RUN_FINAL_TRAINING, claim.trial_id)


def _settle_export(runtime: Runtime, claim: exports.ExportClaim, verdict: _Verdict) -> None:
    with runtime.database.transaction() as session:
        if verdict.is_over:
            exports.fail(session, claim, verdict.reason)
        else:
            exports.release(
                session,
                claim,
                verdict.reason,
                max_attempts=runtime.settings.max_attempts,
                counts=verdict.counts,
            )
            runtime.queue.enqueue(TaskName.MAKE_EXPORT, claim.export_id)


def _settle_report(runtime: Runtime, job_id: str, attempt: int, verdict: _Verdict) -> None:
    is_over = verdict.is_over or (verdict.counts and attempt >= runtime.settings.max_attempts)
    with runtime.database.transaction() as session:
        if not is_over:
            final_reports.release(session, job_id, attempt, counts=verdict.counts)
        elif final_reports.is_newest(session, job_id, attempt):
            reason = f"the final report could not be made: {verdict.reason}"
            jobs.end(session, job_id, JobStatus.FAILED, reason)
