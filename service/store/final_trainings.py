"""Final trainings in SQL: a chosen trial, trained on. Their claims follow the rules of `service.store.leases`.

Not to be confused with the final report of a job (`service.store.final_reports`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from search.history import Measurement, TrialStatus
from search.results.final_training import FinalStatus
from search.results.test_looks import Look, LookKind
from search.trial_files import MODEL_FILE
from service.errors import Conflict, NotFound
from service.store import events, leases, test_looks, trials
from service.store.blobs import Blob
from service.store.events import Entry, EventType
from service.store.final_training_models import FinalTraining
from service.store.leases import Claim, Watch
from service.store.models import Trial, now
from service.store.session import database_now

#: In these a final training has not ended.
OPEN: Final = frozenset({FinalStatus.QUEUED, FinalStatus.RUNNING})

_CLAIM: Final = leases.claim_statement(FinalTraining.trial_id).returning(
    FinalTraining.attempt, FinalTraining.epochs, FinalTraining.distill
)


class FinalTrainingNotFound(NotFound):
    """The trial has no final training."""

    type = "urn:fewbits:problem:final-not-found"


@dataclass(frozen=True, slots=True)
class FinalTrainingClaim(Claim):
    """A final training claimed by one worker."""

    epochs: int
    distill: Mapping[str, Any] | None = None  #: how it learns from the float model; None: as the job's trials

    @classmethod
    def of(cls, row: FinalTraining, job_id: str, number: int) -> FinalTrainingClaim:
        """The claim that a row is in, of the trial with this number."""
        return cls(row.trial_id, job_id, number, row.attempt, row.epochs, row.distill)


def get(session: Session, job_id: str, number: int) -> FinalTraining:
    """The final training of a trial; FinalTrainingNotFound, TrialNotFound or JobNotFound."""
    row = session.get(FinalTraining, trials.get(session, job_id, number).id)
    if row is None:
        raise FinalTrainingNotFound(f"trial {number} of job {job_id} has no final training")
    return row


def status(session: Session, trial_id: int) -> str | None:
    """The status of a trial's final training; None without one."""
    return session.scalar(select(FinalTraining.status).where(FinalTraining.trial_id == trial_id))


def request(
    session: Session, job_id: str, number: int, epochs: int, distill: Mapping[str, Any] | None = None
) -> tuple[FinalTraining, bool]:
    """Queue the final training of a trial; and whether that is new. An equal request changes nothing.

    One that ended is trained again if it failed, or if the number of epochs or `distill` differs. Conflict for a trial
    without a model to train on, and while another final training of it has not ended.
    """
    trial = trials.get(session, job_id, number)
    names = {row.name for row in trials.artifacts(session, trial)}
    if trial.status != TrialStatus.DONE or MODEL_FILE not in names:
        raise Conflict(f"trial {number} is {trial.status} and has no trained model to continue")
    lock = events.lock(session, job_id)  # of two requests at once, one waits for the other
    row = session.get(FinalTraining, trial.id, populate_existing=True)
    wanted = epochs, None if distill is None else dict(distill)
    if row is not None and (row.epochs, row.distill) == wanted and row.status != FinalStatus.FAILED:
        return row, False
    if row is not None and row.status in OPEN:
        how = "" if row.distill is None else ", learning from the float model"
        raise Conflict(f"trial {number} is already being trained for {row.epochs} epochs{how}")
    moment = now()
    if row is None:
        row = FinalTraining(trial_id=trial.id, attempt=0, created_at=moment, epochs_done=0)
        session.add(row)
    row.status, row.reason = FinalStatus.QUEUED, None
    row.epochs, row.distill = wanted
    row.attempts_before, row.enqueued_at, row.finished_at = row.attempt or 0, moment, None
    session.flush()
    if lock is not None:
        events.write(session, lock, _entry(number, FinalStatus.QUEUED, {"epochs": epochs}))
    return row, True


def claim(session: Session, trial_id: int, *, worker: str, lease: timedelta) -> FinalTrainingClaim | None:
    """Claim a queued final training; None if it is not queued (any more): a message may come late or twice."""
    trial = session.get(Trial, trial_id)
    lock = None if trial is None else events.lock(session, trial.job_id)
    if trial is None or lock is None:
        return None
    row = session.execute(_CLAIM, leases.claim_parameters(session, trial_id, worker, lease)).one_or_none()
    if row is None:
        return None
    data = {"attempt": row.attempt, "epochs": row.epochs}
    events.write(session, lock, _entry(trial.number, FinalStatus.RUNNING, data))
    return FinalTrainingClaim(trial_id, trial.job_id, trial.number, row.attempt, row.epochs, row.distill)


def renew(session: Session, claim: FinalTrainingClaim, lease: timedelta, **progress: int) -> bool:
    """Prolong the lease, and note progress; False if another worker has it, or it is gone."""
    return _update(session, claim, lease_until=database_now(session) + lease, **progress)


def finish(
    session: Session,
    claim: FinalTrainingClaim,
    measurement: Measurement,
    test: Mapping[str, float],
    *,
    artifacts: dict[str, Blob],
    versions: dict[str, str],
) -> Look | None:
    """Store a measured final training, whole, and count its look at the test data.

    None, and nothing stored, if the claim is not the newest.
    """
    lock = events.lock(session, claim.job_id)
    metrics = {"metric": measurement.metric, "test_metric": test["metric"]}
    if lock is None or not _update(
        session,
        claim,
        **leases.ended(FinalStatus.DONE),
        **metrics,
        loss=measurement.loss,
        test_loss=test["loss"],
        best_epoch=measurement.best_epoch,
        durations_s=dict(measurement.durations_s),
        versions=versions,
    ):
        return None
    trials.put_artifacts(session, claim.trial_id, artifacts)
    look = test_looks.add(session, claim.job_id, claim.number, LookKind.FINAL_TRAINING, test)
    events.write(session, lock, _entry(claim.number, FinalStatus.DONE, {**metrics, "test_look": look.number}))
    return look


def fail(session: Session, claim: FinalTrainingClaim, reason: str) -> None:
    """End a final training that cannot be measured."""
    lock = events.lock(session, claim.job_id)
    if lock is not None and _update(session, claim, **leases.ended(FinalStatus.FAILED, reason)):
        events.write(session, lock, _entry(claim.number, FinalStatus.FAILED, {"reason": reason}))


def release(
    session: Session, claim: FinalTrainingClaim, reason: str, *, max_attempts: int, counts: bool = True
) -> None:
    """Return a final training to the queue, or end it as FAILED after `max_attempts`."""
    lock = events.lock(session, claim.job_id)
    row = session.get(FinalTraining, claim.trial_id)
    if lock is None or row is None:
        return
    values = leases.released(claim, row.attempts_before, reason, max_attempts, counts=counts)
    if _update(session, claim, **values):
        entry = _entry(claim.number, values["status"], {"reason": values["reason"]})
        events.write(session, lock, entry)


def expired(session: Session, watch: Watch) -> list[tuple[FinalTrainingClaim, bool]]:
    """Claims of workers that were silent for longer than their lease, or are dead; and whether the attempt counts."""
    rows = session.execute(
        select(FinalTraining, Trial.job_id, Trial.number)
        .join(Trial, Trial.id == FinalTraining.trial_id)
        .where(FinalTraining.status == FinalStatus.RUNNING)
    ).all()
    moment = database_now(session)
    return [
        (FinalTrainingClaim.of(row, job_id, number), watch.counts(row))
        for row, job_id, number in rows
        if watch.is_expired(row, moment)
    ]


def job_of(session: Session, trial_id: int) -> str | None:
    """The job of a trial whose final training is queued; None if it is not (any more)."""
    return session.scalar(
        select(Trial.job_id)
        .join(FinalTraining, FinalTraining.trial_id == Trial.id)
        .where(Trial.id == trial_id, FinalTraining.status == FinalStatus.QUEUED)
    )


def of_worker(session: Session, worker: str) -> list[FinalTrainingClaim]:
    """The final trainings that a worker is running."""
    rows = session.execute(
        select(FinalTraining, Trial.job_id, Trial.number)
        .join(Trial, Trial.id == FinalTraining.trial_id)
        .where(FinalTraining.status == FinalStatus.RUNNING, FinalTraining.worker == worker)
    ).all()
    return [FinalTrainingClaim.of(row, job_id, number) for row, job_id, number in rows]


def resend(session: Session, sent_before: datetime) -> list[int]:
    """Ids of the trials whose final training is queued and whose message, sent before this moment, may be lost; notes
    that it is sent again now.
    """
    moment = database_now(session)
    return list(
        session.scalars(
            update(FinalTraining)
            .where(
                FinalTraining.status == FinalStatus.QUEUED,
                leases.may_be_lost(FinalTraining.enqueued_at, sent_before, moment),
            )
            .values(enqueued_at=moment)
            .returning(FinalTraining.trial_id)
        )
    )


def _entry(number: int, status: str, data: Mapping[str, Any]) -> Entry:
    return Entry(EventType.TRIAL_FINAL, {"status": status, **data}, number)


def _update(session: Session, claim: FinalTrainingClaim, **values: Any) -> bool:
    return leases.update_claimed(session, FinalTraining.trial_id, claim, **values)
