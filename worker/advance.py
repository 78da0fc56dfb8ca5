"""Advances a job: proposes its next trials or ends its search. May be called late, twice or never: rows decide."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

from search.history import Cause, JobStatus, NewTrial, TrialRecord, TrialStatus, paid
from search.results.polish import polished_trials
from search.scoring.best import best_trial
from search.scoring.forgiving_factor import factor_of
from search.space.sensitivity import Sensitivity, needs_sensitivity
from search.spec.job import SearchSpec
from service.errors import JobNotFound
from service.queue import TaskName
from service.store import claims, final_reports, jobs, quotas, trials
from service.store.lifecycle import OPEN
from service.store.models import Job
from service.store.session import database_now, is_retryable, keep_trying, reason_of
from worker import preparation, sensitivity
from worker.runtime import Runtime

log = logging.getLogger(__name__)

#: Seconds for which a job is tried to be advanced; after that the sweep has it tried again.
_TRIES_S: Final = 10.0


def advance_job(runtime: Runtime, job_id: str) -> None:
    """Propose the job's next trials, or end its search if there are none left to propose or to wait for.

    Errors of the search itself are counted; the sweep retries it until, after too many, the job is FAILED. A database
    or disk that does not respond is none of them: the job is advanced once it does.
    """
    try:
        keep_trying(partial(_advance, runtime, job_id), for_s=_TRIES_S, what=f"job {job_id} is advanced")
    except JobNotFound:
        log.warning("job %s is gone", job_id)
    except Exception as error:
        log.exception("job %s could not be advanced", job_id)
        if is_retryable(error):
            runtime.backoff.note_failure()
            return
        runtime.on_fault()
        reason = reason_of(error)
        with runtime.database.transaction() as session:
            jobs.note_failure(session, job_id, reason, limit=runtime.settings.max_attempts)


def _advance(runtime: Runtime, job_id: str) -> None:
    with runtime.database.reading() as session:
        job = jobs.get(session, job_id)
        remembered = preparation.searched(job_id)
        remembered.history = trials.history_since(session, job_id, remembered.history)
        history = list(remembered.history.records)
        spent = not quotas.has_compute_left(session, runtime.settings, job.tenant)
        moment = database_now(session)
    in_flight = trials.in_flight(history)
    if job.status == JobStatus.STOPPING and in_flight == 0:
        _end_search(runtime, job, SearchSpec.model_validate(job.spec), history, late=False)
    elif job.status == JobStatus.CANCELLING and in_flight == 0:
        _end_cancelled(runtime, job_id, "cancelled by its user")
    elif job.status in OPEN:
        _continue_search(runtime, job, history, in_flight, moment, spent)


def _continue_search(
    runtime: Runtime,
    job: Job,
    history: list[TrialRecord],
    in_flight: int,
    moment: datetime,
    spent: bool,
) -> None:
    spec = preparation.specification(job)
    late = is_late(job, spec, moment)
    count = min(spec.parallel_trials - in_flight, spec.budget.trials - len(paid(history)))
    if count > 0 and not job.exhausted and not late and not spent:
        _propose(runtime, job, spec, history, count)
    elif (
        in_flight == 0
        and not late
        and not spent
        and (polishing := polished_trials(spec, history, job.reference_cost))
    ):
        _polish(runtime, job, polishing)
    elif in_flight == 0:
        _end_search(runtime, job, spec, history, late=late, spent=spent)
    else:
        _send_waiting(runtime, job, spec, history)


def is_late(job: Job, spec: SearchSpec, moment: datetime) -> bool:
    """Whether the job's time budget is used up at this moment by the clock of the database; pauses do not count."""
    active_s = jobs.active_s(job, moment)
    return spec.budget.seconds is not None and active_s is not None and active_s > spec.budget.seconds


def _send_waiting(runtime: Runtime, job: Job, spec: SearchSpec, history: Sequence[TrialRecord]) -> None:
    """Send messages for queued trials, up to the limit of parallel trials.

    More trials may be queued than may run at once: many may be retried together, and the limit may be lowered. Those
    waiting have no other message.
    """
    counts = Counter(record.status for record in history)
    room = spec.parallel_trials - counts[TrialStatus.RUNNING]
    if room <= 0 or not counts[TrialStatus.QUEUED]:
        return
    with runtime.database.transaction() as session:
        for trial_id in claims.waiting(session, job.id, room):
            runtime.queue.enqueue(TaskName.RUN_TRIAL, trial_id)


def _propose(runtime: Runtime, job: Job, spec: SearchSpec, history: list[TrialRecord], count: int) -> None:
    from search.schedules.propose import WarmSearch, propose_in_stages  # loads Keras

    plan = preparation.plan(runtime, job.id, spec)
    if needs_sensitivity(spec.oracle) and job.sensitivity is None:
        if sensitivity.measure(runtime, job.id, plan):
            _advance(runtime, job.id)  # time has passed: the rows are read again
        return
    measured = None if job.sensitivity is None else Sensitivity.from_json(job.sensitivity)
    remembered = preparation.searched(job.id)
    remembered.warm = remembered.warm or WarmSearch()
    proposal = propose_in_stages(
        spec,
        plan.stages,
        plan.pricer,
        job.reference_cost,
        history,
        job.oracle_state,
        count,
        measured,
        remembered.warm,
    )
    with runtime.database.transaction(durable=False) as session:
        saved = jobs.save_proposals(
            session,
            job.id,
            proposals=job.proposals,
            oracle_state=proposal.state,
            exhausted=proposal.exhausted,
        )
        if not saved:  # another worker has proposed meanwhile, or the user has changed the job: start over
            runtime.queue.enqueue(TaskName.ADVANCE_JOB, job.id)
            return
        for trial_id in trials.add(session, job.id, proposal.trials):
            runtime.queue.enqueue(TaskName.RUN_TRIAL, trial_id)
        if proposal.exhausted and not proposal.trials:
            runtime.queue.enqueue(TaskName.ADVANCE_JOB, job.id)


def _polish(runtime: Runtime, job: Job, new: Sequence[NewTrial]) -> None:
    """Store the trials that follow the search."""
    with runtime.database.transaction() as session:
        saved = jobs.save_proposals(
            session,
            job.id,
            proposals=job.proposals,
            oracle_state=job.oracle_state or "",
            exhausted=job.exhausted,
        )
        if not saved:  # as in `_propose`
            runtime.queue.enqueue(TaskName.ADVANCE_JOB, job.id)
            return
        for trial_id in trials.add(session, job.id, new):
            runtime.queue.enqueue(TaskName.RUN_TRIAL, trial_id)


# --- the end -------------------------------------------------------------------------------------------------------


def _end_search(
    runtime: Runtime,
    job: Job,
    spec: SearchSpec,
    history: list[TrialRecord],
    *,
    late: bool,
    spent: bool = False,
) -> None:
    best = best_trial(history, factor_of(spec), job.reference_cost)
    if best is None:
        _end_without_result(runtime, job)
        return
    reason, cause = _why_ended(job, spec, history, late)
    if spent and cause is not Cause.USER:
        reason, cause = (
            f"the tenant's quota of compute time is used up after {len(history)} trials",
            Cause.QUOTA,
        )
    with runtime.database.transaction() as session:
        if final_reports.start(session, job.id, best.trial.number, reason, cause):
            runtime.queue.enqueue(TaskName.WRITE_REPORT, job.id)


def _end_without_result(runtime: Runtime, job: Job) -> None:
    if job.status == JobStatus.STOPPING:
        _end_cancelled(runtime, job.id, "stopped by its user before any trial was measured")
        return
    with runtime.database.transaction() as session:
        reason = _commonest_reason(runtime, job.id)
        jobs.end(session, job.id, JobStatus.FAILED, reason, cause=Cause.NO_RESULT)


def _end_cancelled(runtime: Runtime, job_id: str, reason: str) -> None:
    with runtime.database.transaction() as session:
        jobs.end(session, job_id, JobStatus.CANCELLED, reason, cause=Cause.USER)


def _why_ended(job: Job, spec: SearchSpec, history: Sequence[TrialRecord], late: bool) -> tuple[str, Cause]:
    if job.status == JobStatus.STOPPING:
        return f"stopped by its user after {len(history)} trials", Cause.USER
    if late:
        seconds = f"{spec.budget.seconds:g} s"
        return f"the time budget of {seconds} is used up after {len(history)} trials", Cause.SECONDS
    if len(paid(history)) >= spec.budget.trials:
        return f"all {len(paid(history))} trials are done", Cause.TRIALS
    if spec.budget.epochs is not None:
        return f"the budget of {spec.budget.epochs} epochs has no room for another trial", Cause.EPOCHS
    return f"the space is exhausted: all {len(history)} different assignments were tried", Cause.SPACE


def _commonest_reason(runtime: Runtime, job_id: str) -> str:
    with runtime.database.reading() as session:
        reasons = Counter(
            trial.reason or trial.status for trial in trials.page(session, job_id, limit=100_000)
        )
    if not reasons:
        return "no trial could be proposed"
    reason, count = reasons.most_common(1)[0]
    return f"none of {reasons.total()} trials could be measured; {count} of them: {reason}"
