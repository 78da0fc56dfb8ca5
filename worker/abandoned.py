"""What a process leaves when it ends in the middle of its work: it fails, or is tried again."""

from __future__ import annotations

from search.history import AttemptOutcome, JobStatus, TrialStatus
from service.queue import TaskName
from service.store import claims, exports, final_reports, final_trainings, jobs
from service.store.leases import Claim
from service.store.session import Database
from worker.runtime import Runtime


def settle(runtime: Runtime, task: TaskName, job_id: str, reason: str, *, is_over: bool) -> None:
    """Settle what the process of a job was doing for this worker: it fails for this reason if `is_over`, since it would
    end the same way again; otherwise it is returned to the queue.

    A process that had claimed nothing was advancing its job: that is counted as an error of the search.
    """
    database, worker = runtime.database, runtime.worker
    with database.reading() as session:
        trials = claims.of_worker(session, worker)
        trainings = final_trainings.of_worker(session, worker)
        reports = final_reports.of_worker(session, worker)
        exporting = exports.of_worker(session, worker)
    for trial in trials:
        _settle_trial(runtime, trial, reason, is_over)
    for training in trainings:
        _settle_training(runtime, training, reason, is_over)
    for export in exporting:
        _settle_export(runtime, export, reason, is_over)
    for job, attempt in reports:
        _settle_report(database, job, attempt, reason, is_over or attempt >= runtime.settings.max_attempts)
    if not (trials or trainings or reports or exporting) and task is TaskName.ADVANCE_JOB:
        with database.transaction() as session:
            jobs.note_failure(session, job_id, reason, limit=runtime.settings.max_attempts)


def _settle_trial(runtime: Runtime, claim: Claim, reason: str, is_over: bool) -> None:
    with runtime.database.transaction() as session:
        if is_over:
            claims.end(session, claim, TrialStatus.FAILED, reason)
        else:
            claims.release(
                session,
                claim,
                reason,
                max_attempts=runtime.settings.max_attempts,
                outcome=AttemptOutcome.LOST,
            )
            runtime.queue.enqueue(TaskName.RUN_TRIAL, claim.trial_id)
        runtime.queue.enqueue(TaskName.ADVANCE_JOB, claim.job_id)


def _settle_training(
    runtime: Runtime, claim: final_trainings.FinalTrainingClaim, reason: str, is_over: bool
) -> None:
    with runtime.database.transaction() as session:
        if is_over:
            final_trainings.fail(session, claim, reason)
        else:
            final_trainings.release(session, claim, reason, max_attempts=runtime.settings.max_attempts)
            runtime.queue.enqueue(TaskName.RUN_FINAL_TRAINING, claim.trial_id)


def _settle_export(runtime: Runtime, claim: exports.ExportClaim, reason: str, is_over: bool) -> None:
    with runtime.database.transaction() as session:
        if is_over:
            exports.fail(session, claim, reason)
        else:
            exports.release(session, claim, reason, max_attempts=runtime.settings.max_attempts)
            runtime.queue.enqueue(TaskName.MAKE_EXPORT, claim.export_id)


def _settle_report(database: Database, job_id: str, attempt: int, reason: str, is_over: bool) -> None:
    with database.transaction() as session:
        if not is_over:
            final_reports.release(session, job_id, attempt)
        elif final_reports.is_newest(session, job_id, attempt):
            jobs.end(session, job_id, JobStatus.FAILED, f"the final report could not be made: {reason}")
