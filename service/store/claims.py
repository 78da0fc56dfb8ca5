"""Trials in the hands of workers. A claim is a conditional UPDATE; every later write names the claim's attempt and is
refused if a newer one exists, so a worker that was thought dead cannot overwrite what its successor found.

Each write takes its place in the job's event log first, which locks the job: see `service.store.events`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Final, cast

from sqlalchemy import CursorResult, Select, bindparam, func, insert, select, update
from sqlalchemy.orm import Session, aliased

from search.history import AttemptOutcome, Cost, EpochReport, Measurement, TrialStatus, Verdict
from service.store import events, trials
from service.store.blobs import Blob
from service.store.events import Entry, EventType
from service.store.lifecycle import CLAIMABLE, UNWANTED
from service.store.models import Attempt, Epoch, Job, LayerEnergy, Trial, now

#: How often a worker looks for another trial when others were faster.
_TRIES: Final = 5

#: Rows named in one statement.
_BATCH: Final = 500


class Lease(Enum):
    """What a worker learns when it renews its lease."""

    HELD = auto()  #: go on
    CANCELLED = auto()  #: stop: the job was cancelled, or has failed
    LOST = auto()  #: stop: somebody else has the trial, or it is gone


@dataclass(frozen=True, slots=True)
class Claim:
    """A trial in the hands of one worker."""

    trial_id: int
    job_id: str
    number: int
    attempt: int


# --- taking --------------------------------------------------------------------------------------------------------


def claim_next(session: Session, hint: int, *, worker: str, lease: timedelta) -> Claim | None:
    """Take the queued trial whose turn it is: of the job with the highest priority, there the one with the id `hint`,
    else the oldest. None if none may begin: a message may come late or twice.
    """
    for _ in range(_TRIES):
        waiting = session.execute(_WAITING, {"hint": hint}).one_or_none()
        if waiting is None:
            return None
        held = _claimed(session, waiting.id, waiting.job_id, worker, lease)
        if held is not None:
            return held
    return None


def _running(job_id: Any) -> Select[int]:
    other = aliased(Trial)
    return select(func.count()).where(other.job_id == job_id, other.status == TrialStatus.RUNNING)


#: The queued trial whose turn it is; written once, for each claim asks it. `hint`: the one that comes first of equals.
_WAITING: Final = (
    select(Trial.id, Trial.job_id)
    .join(Job, Job.id == Trial.job_id)
    .where(
        Trial.status == TrialStatus.QUEUED,
        Job.status.in_(CLAIMABLE),
        _running(Job.id).scalar_subquery() < Job.parallel_trials,
    )
    .order_by(Job.priority.desc(), Trial.id != bindparam("hint"), Trial.id)
    .limit(1)
)


_RUNNING: Final = _running(bindparam("of_job"))

_CLAIM: Final = (
    update(Trial)
    .where(Trial.id == bindparam("claimed"), Trial.status == TrialStatus.QUEUED)
    .values(
        status=TrialStatus.RUNNING,
        attempt=Trial.attempt + 1,
        lease_until=bindparam("until"),
        worker=bindparam("by"),
        started_at=bindparam("at"),
        epochs_done=0,
        reason=None,
    )
    .returning(Trial.number, Trial.attempt)
)


def _claimed(session: Session, trial_id: int, job_id: str, worker: str, lease: timedelta) -> Claim | None:
    turn = events.take(session, job_id)
    if turn is None or turn.status not in CLAIMABLE:
        return None
    if (session.scalar(_RUNNING, {"of_job": job_id}) or 0) >= turn.parallel_trials:
        return None
    moment = now()
    mine = {"claimed": trial_id, "until": moment + lease, "by": worker, "at": moment}
    row = session.execute(_CLAIM, mine).one_or_none()
    if row is None:
        return None
    session.execute(
        insert(Attempt).values(trial_id=trial_id, attempt=row.attempt, worker=worker, started_at=moment)
    )
    data = {"attempt": row.attempt, "worker": worker}
    events.write(session, turn, Entry(EventType.TRIAL_CLAIMED, data, row.number))
    return Claim(trial_id, turn.job_id, row.number, row.attempt)


# --- holding -------------------------------------------------------------------------------------------------------


def renew(session: Session, held: Claim, lease: timedelta) -> Lease:
    """Prolong the lease, and learn whether to go on."""
    if not _update(session, held, lease_until=now() + lease):
        return Lease.LOST
    return look(session, held)


def look(session: Session, held: Claim) -> Lease:
    """Learn whether the job still wants its trials; reads only."""
    status = session.scalar(select(Job.status).where(Job.id == held.job_id))
    if status is None:
        return Lease.LOST
    return Lease.CANCELLED if status in UNWANTED else Lease.HELD


def add_epochs(session: Session, held: Claim, reports: Sequence[EpochReport], lease: timedelta) -> Lease:
    """Store the metrics of epochs that followed each other, and prolong the lease."""
    turn = events.take(session, held.job_id, len(reports))
    done = reports[-1].epoch + 1
    if turn is None or not _update(session, held, lease_until=now() + lease, epochs_done=done):
        return Lease.LOST
    events.write(session, turn, *_stored(session, held, reports))
    return Lease.CANCELLED if turn.status in UNWANTED else Lease.HELD


def _stored(session: Session, held: Claim, reports: Sequence[EpochReport]) -> list[Entry]:
    """Store epochs; what is to be told of them."""
    found = [
        {"epoch": report.epoch, "metrics": dict(report.metrics), "duration_s": report.duration_s}
        for report in reports
    ]
    if found:
        own = {"trial_id": held.trial_id, "attempt": held.attempt}
        session.execute(insert(Epoch), [own | each for each in found])
    return [Entry(EventType.TRIAL_EPOCH, {"attempt": held.attempt, **each}, held.number) for each in found]


def note_post_training(session: Session, held: Claim, metric: float) -> bool:
    """Keep what a trial measured before training; False if the claim is not the newest."""
    return _update(session, held, post_training_metric=metric)


def curves(session: Session, held: Claim, metric: str) -> list[list[float]]:
    """A metric, epoch by epoch, of the job's other trials that were not continued from others, by number."""
    rows = session.execute(
        select(Trial.number, Epoch.metrics)
        .join(Epoch, (Epoch.trial_id == Trial.id) & (Epoch.attempt == Trial.attempt))
        .where(Trial.job_id == held.job_id, Trial.id != held.trial_id, Trial.initial_epoch == 0)
        .order_by(Trial.number, Epoch.epoch)
    )
    found: dict[int, list[float]] = {}
    for number, metrics in rows:
        found.setdefault(number, []).append(metrics[metric])
    return list(found.values())


# --- ending --------------------------------------------------------------------------------------------------------


def finish(
    session: Session,
    held: Claim,
    measurement: Measurement,
    *,
    artifacts: dict[str, Blob],
    versions: dict[str, str],
    verdict: Verdict | None = None,
    reports: Sequence[EpochReport] = (),
) -> bool:
    """Store a measured trial, whole; False, and nothing stored, if the claim is not the newest.

    It is DONE, unless a verdict says otherwise. `reports`: its last epochs, where they are not stored yet.
    """
    kept = _end(
        session,
        held,
        reports,
        **_judged(verdict),
        metric=measurement.metric,
        loss=measurement.loss,
        cost=measurement.cost.value,
        energy_pj=measurement.cost.energy_pj,
        bits=measurement.cost.bits,
        best_epoch=measurement.best_epoch,
        executions=[asdict(each) for each in measurement.executions] or None,
        durations_s=dict(measurement.durations_s),
        versions=versions,
    )
    if kept:
        if measurement.cost.layers:
            session.execute(insert(LayerEnergy), _layer_rows(held.trial_id, measurement))
        trials.put_artifacts(session, held.trial_id, artifacts)
    return kept


def _layer_rows(trial_id: int, measurement: Measurement) -> list[dict[str, Any]]:
    return [
        {"trial_id": trial_id, "position": position, **asdict(layer)}
        for position, layer in enumerate(measurement.cost.layers)
    ]


def end(session: Session, held: Claim, status: TrialStatus, reason: str) -> bool:
    """End a trial that was not measured; False if the claim is not the newest."""
    return _end(session, held, status=status, reason=reason)


def _judged(verdict: Verdict | None) -> dict[str, Any]:
    if verdict is None:
        return {"status": TrialStatus.DONE}
    return {"status": verdict.status, "reason": verdict.reason, "proof": dict(verdict.proof)}


def judge(session: Session, held: Claim, verdict: Verdict, metric: float | None, cost: Cost | None) -> bool:
    """End a trial by a proof; `metric` and `cost` are what it reached, if it was trained at all."""
    measured: dict[str, Any] = {"metric": metric}
    if cost is not None:
        measured |= {"cost": cost.value, "energy_pj": cost.energy_pj, "bits": cost.bits}
    return _end(session, held, **_judged(verdict), **measured)


def release(
    session: Session,
    held: Claim,
    reason: str,
    *,
    max_attempts: int,
    outcome: AttemptOutcome = AttemptOutcome.RELEASED,
) -> None:
    """Give a trial back to the queue, or end it: as FAILED after `max_attempts`, as CANCELLED if its job has no use for
    it. Attempts from before the user had it retried do not count.
    """
    turn = events.take(session, held.job_id)
    before = session.scalar(select(Trial.attempts_before).where(Trial.id == held.trial_id))
    if turn is None or before is None:
        return
    tried = held.attempt - before
    status = TrialStatus.QUEUED
    if turn.status in UNWANTED:
        status = TrialStatus.CANCELLED
    elif tried >= max_attempts:
        status, reason = TrialStatus.FAILED, f"{reason} ({tried} attempts)"
    values: dict[str, Any] = {"status": status, "reason": reason, "lease_until": None}
    values |= {"enqueued_at": now()} if status is TrialStatus.QUEUED else {"finished_at": now()}
    if not _update(session, held, **values):
        return
    _close(session, held, outcome, reason)
    data = {"attempt": held.attempt, "reason": reason}
    if status is TrialStatus.QUEUED:
        events.write(session, turn, Entry(EventType.TRIAL_QUEUED, data, held.number))
    else:
        events.write(session, turn, Entry(EventType.TRIAL_ENDED, {**data, "status": status}, held.number))


def _end(
    session: Session,
    held: Claim,
    reports: Sequence[EpochReport] = (),
    *,
    status: TrialStatus,
    **values: Any,
) -> bool:
    turn = events.take(session, held.job_id, len(reports) + 1)
    if reports:
        values["epochs_done"] = reports[-1].epoch + 1
    if turn is None or not _update(
        session, held, status=status, finished_at=now(), lease_until=None, **values
    ):
        return False
    reason = values.get("reason")
    _close(session, held, AttemptOutcome(status), reason)
    ended = Entry(EventType.TRIAL_ENDED, _told(held, status, values), held.number)
    events.write(session, turn, *_stored(session, held, reports), ended)
    return True


def _told(held: Claim, status: TrialStatus, values: Mapping[str, Any]) -> dict[str, Any]:
    shown = ("reason", "metric", "cost", "energy_pj", "bits")
    known = {name: values[name] for name in shown if values.get(name) is not None}
    return {"attempt": held.attempt, "status": status, **known}


_CLOSE: Final = (
    update(Attempt)
    .where(Attempt.trial_id == bindparam("of_trial"), Attempt.attempt == bindparam("of_attempt"))
    .values(ended_at=bindparam("at"), outcome=bindparam("as_what"), reason=bindparam("why"))
    .execution_options(synchronize_session=False)
)


def _close(session: Session, held: Claim, outcome: AttemptOutcome, reason: str | None) -> None:
    own = {"of_trial": held.trial_id, "of_attempt": held.attempt}
    session.execute(_CLOSE, own | {"at": now(), "as_what": outcome, "why": reason})


def _update(session: Session, held: Claim, **values: Any) -> bool:
    """Change the trial if the claim is its newest and it is running."""
    changed = session.execute(
        update(Trial)
        .where(Trial.id == held.trial_id, Trial.attempt == held.attempt, Trial.status == TrialStatus.RUNNING)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", changed).rowcount == 1


# --- what the sweep looks for --------------------------------------------------------------------------------------


def expired(session: Session, is_dead: Callable[[str], bool]) -> list[Claim]:
    """Claims whose workers were silent for longer than their lease, or are known to be dead."""
    rows = session.execute(
        select(Trial.id, Trial.job_id, Trial.number, Trial.attempt, Trial.lease_until, Trial.worker).where(
            Trial.status == TrialStatus.RUNNING
        )
    ).all()
    moment = now()
    return [
        Claim(row.id, row.job_id, row.number, row.attempt)
        for row in rows
        if row.lease_until < moment or is_dead(row.worker)
    ]


def resend(session: Session, sent_before: datetime) -> list[int]:
    """Ids of queued trials that may begin and whose message was sent long ago and may be lost; notes that it is sent
    again now.
    """
    claimable = select(Job.id).where(Job.status.in_(CLAIMABLE))
    lost = select(Trial.id).where(
        Trial.status == TrialStatus.QUEUED, Trial.enqueued_at < sent_before, Trial.job_id.in_(claimable)
    )
    found = list(session.scalars(lost.order_by(Trial.id).with_for_update(skip_locked=True)))
    for start in range(0, len(found), _BATCH):
        session.execute(
            update(Trial)
            .where(Trial.id.in_(found[start : start + _BATCH]))
            .values(enqueued_at=now())
            .execution_options(synchronize_session=False)
        )
    return found


def waiting(session: Session, job_id: str, limit: int) -> list[int]:
    """Ids of the first queued trials of a job."""
    query = select(Trial.id).where(Trial.job_id == job_id, Trial.status == TrialStatus.QUEUED)
    return list(session.scalars(query.order_by(Trial.id).limit(limit)))
