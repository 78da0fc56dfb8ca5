"""Final trainings in SQL. Claims, leases and attempts are those of trials (`service.store.claims`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, select, update
from sqlalchemy.orm import Session

from search.history import Measurement, TrialStatus
from search.results.final_training import FinalStatus
from search.trial_files import MODEL_FILE
from service.errors import Conflict, NotFound
from service.store import events, trials
from service.store.blobs import Blob
from service.store.events import Entry, EventType
from service.store.final_training_models import FinalTraining
from service.store.models import Trial, now

#: In these a final training is under way.
UNDER_WAY = frozenset({FinalStatus.QUEUED, FinalStatus.RUNNING})


class FinalNotFound(NotFound):
    """The trial has no final training."""

    type = "urn:fewbits:problem:final-not-found"


@dataclass(frozen=True, slots=True)
class FinalClaim:
    """A final training in the hands of one worker."""

    trial_id: int
    job_id: str
    number: int
    attempt: int
    epochs: int


def get(session: Session, job_id: str, number: int) -> FinalTraining:
    """The final training of a trial; FinalNotFound, TrialNotFound or JobNotFound."""
    found = session.get(FinalTraining, trials.get(session, job_id, number).id)
    if found is None:
        raise FinalNotFound(f"trial {number} of job {job_id} has no final training")
    return found


def request(session: Session, job_id: str, number: int, epochs: int) -> tuple[FinalTraining, bool]:
    """Have a trial trained on; and whether this was news. What is asked twice is done once.

    One that ended is trained again if it failed, or if other epochs are asked for. Conflict for a trial without a model
    to train on, and while it is trained for other epochs.
    """
    trial = trials.get(session, job_id, number)
    names = {row.name for row in trials.artifacts(session, trial)}
    if trial.status != TrialStatus.DONE or MODEL_FILE not in names:
        raise Conflict(f"trial {number} is {trial.status} and has no trained model to go on with")
    turn = events.take(session, job_id)  # locks the job: two that ask at once ask one after the other
    found = session.get(FinalTraining, trial.id, populate_existing=True)
    if found is not None and found.epochs == epochs and found.status != FinalStatus.FAILED:
        return found, False
    if found is not None and found.status in UNDER_WAY:
        raise Conflict(f"trial {number} is being trained for {found.epochs} epochs already")
    moment = now()
    if found is None:
        found = FinalTraining(trial_id=trial.id, attempt=0, created_at=moment, epochs_done=0)
        session.add(found)
    found.status, found.reason, found.epochs = FinalStatus.QUEUED, None, epochs
    found.attempts_before, found.enqueued_at, found.finished_at = found.attempt or 0, moment, None
    session.flush()
    if turn is not None:
        events.write(session, turn, _entry(number, FinalStatus.QUEUED, {"epochs": epochs}))
    return found, True


def claim(session: Session, trial_id: int, *, worker: str, lease: timedelta) -> FinalClaim | None:
    """Take a queued final training; None if it is not queued (any more): a message may come late or twice."""
    trial = session.get(Trial, trial_id)
    turn = None if trial is None else events.take(session, trial.job_id)
    if trial is None or turn is None:
        return None
    moment = now()
    row = session.execute(
        update(FinalTraining)
        .where(FinalTraining.trial_id == trial_id, FinalTraining.status == FinalStatus.QUEUED)
        .values(
            status=FinalStatus.RUNNING,
            attempt=FinalTraining.attempt + 1,
            lease_until=moment + lease,
            worker=worker,
            started_at=moment,
            epochs_done=0,
        )
        .returning(FinalTraining.attempt, FinalTraining.epochs)
    ).one_or_none()
    if row is None:
        return None
    data = {"attempt": row.attempt, "epochs": row.epochs}
    events.write(session, turn, _entry(trial.number, FinalStatus.RUNNING, data))
    return FinalClaim(trial_id, trial.job_id, trial.number, row.attempt, row.epochs)


def renew(session: Session, held: FinalClaim, lease: timedelta, **progress: int) -> bool:
    """Prolong the lease, and note progress; False if somebody else has it, or it is gone."""
    return _update(session, held, lease_until=now() + lease, **progress)


def finish(
    session: Session,
    held: FinalClaim,
    measurement: Measurement,
    test: Mapping[str, float],
    *,
    artifacts: dict[str, Blob],
    versions: dict[str, str],
) -> bool:
    """Store a measured final training, whole; False, and nothing stored, if the claim is not the newest."""
    turn = events.take(session, held.job_id)
    figures = {"metric": measurement.metric, "test_metric": test["metric"]}
    if turn is None or not _update(
        session,
        held,
        **_ended(FinalStatus.DONE, None),
        **figures,
        loss=measurement.loss,
        test_loss=test["loss"],
        best_epoch=measurement.best_epoch,
        durations_s=dict(measurement.durations_s),
        versions=versions,
    ):
        return False
    trials.put_artifacts(session, held.trial_id, artifacts)
    events.write(session, turn, _entry(held.number, FinalStatus.DONE, figures))
    return True


def fail(session: Session, held: FinalClaim, reason: str) -> None:
    """End a final training that cannot be measured."""
    turn = events.take(session, held.job_id)
    if turn is not None and _update(session, held, **_ended(FinalStatus.FAILED, reason)):
        events.write(session, turn, _entry(held.number, FinalStatus.FAILED, {"reason": reason}))


def release(session: Session, held: FinalClaim, reason: str, *, max_attempts: int) -> None:
    """Give a final training back to the queue, or end it as FAILED after `max_attempts`."""
    before = session.scalar(
        select(FinalTraining.attempts_before).where(FinalTraining.trial_id == held.trial_id)
    )
    if before is not None and held.attempt - before >= max_attempts:
        fail(session, held, f"{reason} ({held.attempt - before} attempts)")
        return
    values = {"status": FinalStatus.QUEUED, "reason": reason, "lease_until": None, "enqueued_at": now()}
    turn = events.take(session, held.job_id)
    if turn is not None and _update(session, held, **values):
        events.write(session, turn, _entry(held.number, FinalStatus.QUEUED, {"reason": reason}))


def expired(session: Session, is_dead: Callable[[str], bool]) -> list[FinalClaim]:
    """Claims whose workers were silent for longer than their lease, or are known to be dead."""
    rows = session.execute(
        select(FinalTraining, Trial.job_id, Trial.number)
        .join(Trial, Trial.id == FinalTraining.trial_id)
        .where(FinalTraining.status == FinalStatus.RUNNING)
    ).all()
    moment = now()
    return [
        FinalClaim(row.trial_id, job_id, number, row.attempt, row.epochs)
        for row, job_id, number in rows
        if row.lease_until is None or row.lease_until < moment or is_dead(row.worker or "")
    ]


def resend(session: Session, sent_before: datetime) -> list[int]:
    """Trials whose final training waits and whose message may be lost; notes that it is sent again now."""
    return list(
        session.scalars(
            update(FinalTraining)
            .where(FinalTraining.status == FinalStatus.QUEUED, FinalTraining.enqueued_at < sent_before)
            .values(enqueued_at=now())
            .returning(FinalTraining.trial_id)
        )
    )


def _ended(status: FinalStatus, reason: str | None) -> dict[str, Any]:
    return {"status": status, "reason": reason, "finished_at": now(), "lease_until": None}


def _entry(number: int, status: FinalStatus, data: Mapping[str, Any]) -> Entry:
    return Entry(EventType.TRIAL_FINAL, {"status": status, **data}, number)


def _update(session: Session, held: FinalClaim, **values: Any) -> bool:
    """Change the final training if the claim is its newest and it is running."""
    changed = session.execute(
        update(FinalTraining)
        .where(
            FinalTraining.trial_id == held.trial_id,
            FinalTraining.attempt == held.attempt,
            FinalTraining.status == FinalStatus.RUNNING,
        )
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", changed).rowcount == 1
