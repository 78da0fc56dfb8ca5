"""What must hold of the rows after a storm: nothing lost, nothing twice, nothing failed for the infrastructure."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from search.history import AttemptOutcome, JobStatus, TrialStatus
from service.store.events import EventType
from service.store.final_training_models import FinalTraining
from service.store.models import Artifact, Attempt, Event, Job, Trial, TrialEpoch

#: What a search may make of a trial here, where every training succeeds.
_GOOD: Final = frozenset({TrialStatus.DONE, TrialStatus.PRUNED})


class Verdict:
    """Faults, by the promise that they break."""

    def __init__(self) -> None:
        self.faults: defaultdict[str, list[str]] = defaultdict(list)

    def note(self, promise: str, fault: str) -> None:
        """Note a fault."""
        self.faults[promise].append(fault)

    @property
    def counts(self) -> dict[str, int]:
        """Faults of each promise, also where there are none."""
        return {promise: len(self.faults[promise]) for promise in PROMISES}


PROMISES: Final = ("lost", "doubled", "failed", "stuck", "changed", "refused")


def judge(session: Session, submitted: Mapping[str, Mapping[str, Any]], blobs: Path) -> Verdict:
    """Compare the rows with what was acknowledged."""
    verdict = Verdict()
    rows = {job.id: job for job in session.scalars(select(Job))}
    for missing in submitted.keys() - rows.keys():
        verdict.note("lost", f"job {missing} was acknowledged, and is not there")
    for extra in rows.keys() - submitted.keys():
        verdict.note("doubled", f"job {extra} ({rows[extra].name}) was stored, and never acknowledged")
    for job_id in submitted.keys() & rows.keys():
        _judge_job(session, rows[job_id], submitted[job_id], verdict)
    _judge_final_trainings(session, verdict)
    _judge_files(session, blobs, verdict)
    return verdict


def _judge_job(session: Session, job: Job, body: Mapping[str, Any], verdict: Verdict) -> None:
    name = f"{job.name} ({body['oracle']['kind']})"
    if job.status == JobStatus.FAILED:
        verdict.note("failed", f"{name}: {job.reason}")
    elif job.status != JobStatus.DONE:
        verdict.note("stuck", f"{name} is {job.status}")
        return
    trials = list(session.scalars(select(Trial).where(Trial.job_id == job.id).order_by(Trial.number)))
    if [trial.number for trial in trials] != list(range(len(trials))):
        verdict.note("lost", f"{name} has trials {[trial.number for trial in trials]}")
    tried = len({(trial.assignment_key, trial.initial_epoch, trial.epochs, trial.parent) for trial in trials})
    if tried != len(trials) and body["oracle"]["kind"] != "gradient":
        verdict.note("doubled", f"{name} has {len(trials)} trials of {tried} assignments")
    if len(trials) > body["budget"]["trials"]:
        verdict.note("doubled", f"{name} has {len(trials)} trials of a budget of {body['budget']['trials']}")
    if len(trials) < body["budget"]["trials"] and job.cause == "trials":
        verdict.note("lost", f"{name} has {len(trials)} trials of a budget of {body['budget']['trials']}")
    for trial in trials:
        _judge_trial(session, trial, f"{name}, trial {trial.number}", verdict)
    _judge_events(session, job, name, trials, verdict)


def _judge_trial(session: Session, trial: Trial, name: str, verdict: Verdict) -> None:
    if trial.status in (TrialStatus.QUEUED, TrialStatus.RUNNING):
        verdict.note("stuck", f"{name} is {trial.status}")
        return
    if trial.status not in _GOOD:
        verdict.note("failed", f"{name}: {trial.status}: {trial.reason}")
        return
    attempts = list(
        session.scalars(select(Attempt).where(Attempt.trial_id == trial.id).order_by(Attempt.attempt))
    )
    if [row.attempt for row in attempts] != list(range(1, trial.attempt + 1)):
        verdict.note("lost", f"{name} has attempts {[row.attempt for row in attempts]} of {trial.attempt}")
    ended = [row.attempt for row in attempts if row.outcome == AttemptOutcome(trial.status)]
    if ended != [trial.attempt]:
        verdict.note("doubled", f"{name} ended in attempts {ended} of {trial.attempt}")
    epochs = list(
        session.scalars(
            select(TrialEpoch.epoch)
            .where(TrialEpoch.trial_id == trial.id, TrialEpoch.attempt == trial.attempt)
            .order_by(TrialEpoch.epoch)
        )
    )
    first = trial.initial_epoch if trial.parent is not None else 0
    if trial.status == TrialStatus.DONE and epochs != list(range(first, trial.epochs_done)):
        verdict.note("lost", f"{name} has epochs {epochs}, from {first} to {trial.epochs_done}")


def _judge_events(session: Session, job: Job, name: str, trials: list[Trial], verdict: Verdict) -> None:
    events = session.execute(select(Event.type, Event.trial).where(Event.job_id == job.id)).all()
    happened = Counter(
        (event.type, None if event.type == EventType.JOB_FINALIZED else event.trial) for event in events
    )
    epochs = dict(
        session.execute(
            select(Trial.number, func.count())
            .join(TrialEpoch, TrialEpoch.trial_id == Trial.id)
            .where(Trial.job_id == job.id)
            .group_by(Trial.number)
        ).all()
    )
    expected = Counter({(EventType.JOB_FINALIZED, None): int(job.status == JobStatus.DONE)})
    for trial in trials:
        expected[(EventType.TRIAL_ENDED, trial.number)] = 1
        expected[(EventType.TRIAL_CLAIMED, trial.number)] = trial.attempt
        expected[(EventType.TRIAL_EPOCH, trial.number)] = epochs.get(trial.number, 0)
    for (kind, number), count in expected.items():
        if happened[(kind, number)] != count:
            promise = "doubled" if happened[(kind, number)] > count else "lost"
            verdict.note(
                promise, f"{name}: {happened[(kind, number)]} events {kind} of {number}, not {count}"
            )


def _judge_final_trainings(session: Session, verdict: Verdict) -> None:
    for training in session.scalars(select(FinalTraining)):
        name = f"the final training of trial {training.trial_id}"
        if training.status == "failed":
            verdict.note("failed", f"{name}: {training.reason}")
        elif training.status != "done":
            verdict.note("stuck", f"{name} is {training.status}")


def _judge_files(session: Session, blobs: Path, verdict: Verdict) -> None:
    for sha256 in session.scalars(select(Artifact.sha256).distinct()):
        path = blobs / sha256[:2] / sha256
        if not path.is_file():
            verdict.note("lost", f"the file {sha256[:8]} is not there")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            verdict.note("changed", f"the file {sha256[:8]} is not what was stored")


def outcome(session: Session, job_id: str) -> list[tuple[Any, ...]]:
    """What a search tried and measured, trial by trial."""
    rows = session.execute(
        select(
            Trial.number, Trial.assignment_key, Trial.seed, Trial.initial_epoch, Trial.status, Trial.metric
        )
        .where(Trial.job_id == job_id)
        .order_by(Trial.number)
    )
    return [tuple(row) for row in rows]


def open_work(session: Session) -> int:
    """Jobs and final trainings that have not ended."""
    jobs = select(func.count()).where(Job.status.not_in(("done", "failed", "cancelled")))
    trainings = select(func.count()).where(FinalTraining.status.in_(("queued", "running")))
    return (session.scalar(jobs) or 0) + (session.scalar(trainings) or 0)


def attempts(session: Session) -> dict[str, int]:
    """How the attempts at all trials ended."""
    rows = session.execute(select(Attempt.outcome, func.count()).group_by(Attempt.outcome))
    return {str(outcome): count for outcome, count in rows}
