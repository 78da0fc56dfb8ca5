"""Trials that workers run: claimed, renewed, ended or returned to the queue. The rules are those of
`service.store.leases`.

Each write reserves its place in the job's event log first, which locks the job: see `service.store.events`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from search.history import AttemptOutcome, Cost, EpochReport, Measurement, TrialStatus, Verdict
from service.store import events, leases, trials, turns
from service.store.blobs import Blob
from service.store.capacity import Capacity
from service.store.events import Entry, EventType
from service.store.leases import Claim, LeaseStatus, Watch
from service.store.lifecycle import CLAIMABLE, UNWANTED
from service.store.models import Attempt, Job, Trial, TrialEpoch, TrialLayer, now
from service.store.session import database_now

#: How often a worker looks for another trial when others were faster.
_TRIES: Final = 5

#: Ids in one statement.
_BATCH: Final = 500

#: Columns that the event of a trial's end repeats.
_EVENT_COLUMNS: Final = ("reason", "metric", "cost", "energy_pj", "bits")


# --- claiming --------------------------------------------------------------------------------------------------------


def claim_next(
    session: Session,
    hint: int,
    *,
    worker: str,
    lease: timedelta,
    job_id: str | None = None,
    capacity: Capacity | None = None,
) -> Claim | None:
    """Claim the trial that comes first for a worker of this capacity, in the order of `service.store.turns`. None if no
    trial may begin: a message may come late or twice.

    With a `job_id` it is a trial of that job, and None while one of another job comes before them.
    """
    for _ in range(_TRIES):
        first = turns.first(session, hint, capacity, job_id)
        if first is None:
            return None
        claim = _claim(session, first.id, first.job_id, worker, lease)
        if claim is not None:
            turns.take(session, first)
            return claim
    return None


def next_job(session: Session, hint: int, capacity: Capacity | None = None) -> str | None:
    """The job whose trial `claim_next` would claim; None if no trial may begin."""
    first = turns.first(session, hint, capacity)
    return None if first is None else str(first.job_id)


def of_worker(session: Session, worker: str) -> list[Claim]:
    """The trials that a worker is running."""
    rows = session.execute(
        select(Trial.id, Trial.job_id, Trial.number, Trial.attempt).where(
            Trial.status == TrialStatus.RUNNING, Trial.worker == worker
        )
    )
    return [Claim(*row) for row in rows]


_RUNNING: Final = turns.running_of_job(bindparam("of_job"))

_CLAIM: Final = leases.claim_statement(Trial.id).returning(Trial.number, Trial.attempt)


def _claim(session: Session, trial_id: int, job_id: str, worker: str, lease: timedelta) -> Claim | None:
    lock = events.lock(session, job_id)
    if lock is None or lock.status not in CLAIMABLE:
        return None
    if (session.scalar(_RUNNING, {"of_job": job_id}) or 0) >= lock.parallel_trials:
        return None
    parameters = leases.claim_parameters(session, trial_id, worker, lease)
    row = session.execute(_CLAIM, parameters).one_or_none()
    if row is None:
        return None
    started = {"attempt": row.attempt, "worker": worker}
    session.execute(insert(Attempt).values(trial_id=trial_id, started_at=parameters["at"], **started))
    events.write(session, lock, Entry(EventType.TRIAL_CLAIMED, started, row.number))
    return Claim(trial_id, job_id, row.number, row.attempt)


# --- running ---------------------------------------------------------------------------------------------------------


def renew(session: Session, claim: Claim, lease: timedelta) -> LeaseStatus:
    """Prolong the lease, and learn whether to go on."""
    if not _update(session, claim, lease_until=database_now(session) + lease):
        return LeaseStatus.LOST
    return lease_status(session, claim)


def lease_status(session: Session, claim: Claim) -> LeaseStatus:
    """Whether the job still needs its trials; reads only, and does not learn of a newer attempt."""
    status = session.scalar(select(Job.status).where(Job.id == claim.job_id))
    if status is None:
        return LeaseStatus.LOST
    return LeaseStatus.CANCELLED if status in UNWANTED else LeaseStatus.HELD


def add_epochs(
    session: Session, claim: Claim, reports: Sequence[EpochReport], lease: timedelta
) -> LeaseStatus:
    """Store the metrics of successive epochs, and prolong the lease."""
    lock = events.lock(session, claim.job_id, len(reports))
    done = reports[-1].epoch + 1
    until = database_now(session) + lease
    if lock is None or not _update(session, claim, lease_until=until, epochs_done=done):
        return LeaseStatus.LOST
    events.write(session, lock, *_store_epochs(session, claim, reports))
    return LeaseStatus.CANCELLED if lock.status in UNWANTED else LeaseStatus.HELD


def _store_epochs(session: Session, claim: Claim, reports: Sequence[EpochReport]) -> list[Entry]:
    """Store epochs; their events."""
    epochs = [
        {"epoch": report.epoch, "metrics": dict(report.metrics), "duration_s": report.duration_s}
        for report in reports
    ]
    if epochs:
        key = {"trial_id": claim.trial_id, "attempt": claim.attempt}
        session.execute(insert(TrialEpoch), [key | epoch for epoch in epochs])
    return [
        Entry(EventType.TRIAL_EPOCH, {"attempt": claim.attempt, **epoch}, claim.number) for epoch in epochs
    ]


def stored_epochs(session: Session, claim: Claim) -> int:
    """How many epochs of the attempt are stored, counted from 0 to the last one."""
    mine = TrialEpoch.trial_id == claim.trial_id, TrialEpoch.attempt == claim.attempt
    last = session.scalar(select(func.max(TrialEpoch.epoch)).where(*mine))
    return 0 if last is None else last + 1


def note_post_training(session: Session, claim: Claim, metric: float) -> bool:
    """Store the metric that a trial has before training; False if the claim is not the newest."""
    return _update(session, claim, post_training_metric=metric)


def curves(session: Session, claim: Claim, metric: str) -> list[list[float]]:
    """A metric, epoch by epoch, of the job's other trials that did not continue a parent, by number."""
    rows = session.execute(
        select(Trial.number, TrialEpoch.metrics)
        .join(TrialEpoch, (TrialEpoch.trial_id == Trial.id) & (TrialEpoch.attempt == Trial.attempt))
        .where(Trial.job_id == claim.job_id, Trial.id != claim.trial_id, Trial.initial_epoch == 0)
        .order_by(Trial.number, TrialEpoch.epoch)
    )
    by_number: dict[int, list[float]] = {}
    for number, metrics in rows:
        by_number.setdefault(number, []).append(metrics[metric])
    return list(by_number.values())


# --- ending ----------------------------------------------------------------------------------------------------------


def finish(
    session: Session,
    claim: Claim,
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
    is_newest = _end(
        session,
        claim,
        reports,
        **_ended_by(verdict),
        metric=measurement.metric,
        loss=measurement.loss,
        cost=measurement.cost.value,
        energy_pj=measurement.cost.energy_pj,
        bits=measurement.cost.bits,
        best_epoch=measurement.best_epoch,
        executions=[asdict(execution) for execution in measurement.executions] or None,
        durations_s=dict(measurement.durations_s),
        versions=versions,
        effective={name: dict(costs) for name, costs in measurement.effective.items()} or None,
        **_learned(measurement),
    )
    if is_newest:
        if measurement.cost.layers:
            session.execute(insert(TrialLayer), _layer_rows(claim.trial_id, measurement))
        trials.put_artifacts(session, claim.trial_id, artifacts)
    return is_newest


def _learned(measurement: Measurement) -> dict[str, Any]:
    """The assignment that trained bits became, in place of the one that they started from."""
    learned = measurement.assignment
    return {} if learned is None else {"assignment": learned.to_json(), "assignment_key": learned.key}


def _layer_rows(trial_id: int, measurement: Measurement) -> list[dict[str, Any]]:
    return [
        {"trial_id": trial_id, "position": position, **asdict(layer)}
        for position, layer in enumerate(measurement.cost.layers)
    ]


def end(session: Session, claim: Claim, status: TrialStatus, reason: str) -> bool:
    """End a trial that was not measured; False if the claim is not the newest."""
    return _end(session, claim, status=status, reason=reason)


def judge(session: Session, claim: Claim, verdict: Verdict, metric: float | None, cost: Cost | None) -> bool:
    """End a trial by a proof; `metric` and `cost` are what it reached, if it was trained at all."""
    reached: dict[str, Any] = {"metric": metric}
    if cost is not None:
        reached |= {"cost": cost.value, "energy_pj": cost.energy_pj, "bits": cost.bits}
    return _end(session, claim, **_ended_by(verdict), **reached)


def _ended_by(verdict: Verdict | None) -> dict[str, Any]:
    if verdict is None:
        return {"status": TrialStatus.DONE}
    return {"status": verdict.status, "reason": verdict.reason, "proof": dict(verdict.proof)}


def release(
    session: Session,
    claim: Claim,
    reason: str,
    *,
    max_attempts: int,
    outcome: AttemptOutcome = AttemptOutcome.RELEASED,
    counts: bool = True,
) -> None:
    """Return a trial to the queue, or end it: as FAILED after `max_attempts`, as CANCELLED if its job no longer needs
    it. Attempts from before the user had it retried do not count, nor does this one unless it `counts`.
    """
    lock = events.lock(session, claim.job_id)
    before = session.scalar(select(Trial.attempts_before).where(Trial.id == claim.trial_id))
    if lock is None or before is None:
        return
    if lock.status in UNWANTED:
        values = leases.ended(TrialStatus.CANCELLED, reason)
    else:
        values = leases.released(claim, before, reason, max_attempts, counts=counts)
    if not _update(session, claim, **values):
        return
    _close_attempt(session, claim, outcome, values["reason"])
    data = {"attempt": claim.attempt, "reason": values["reason"]}
    if values["status"] == TrialStatus.QUEUED:
        events.write(session, lock, Entry(EventType.TRIAL_QUEUED, data, claim.number))
    else:
        data["status"] = values["status"]
        events.write(session, lock, Entry(EventType.TRIAL_ENDED, data, claim.number))


def _end(
    session: Session,
    claim: Claim,
    reports: Sequence[EpochReport] = (),
    *,
    status: TrialStatus,
    reason: str | None = None,
    **values: Any,
) -> bool:
    lock = events.lock(session, claim.job_id, len(reports) + 1)
    if reports:
        values["epochs_done"] = reports[-1].epoch + 1
    values |= leases.ended(status, reason)
    if lock is None or not _update(session, claim, **values):
        return False
    _close_attempt(session, claim, AttemptOutcome(status), reason)
    ended = Entry(EventType.TRIAL_ENDED, _end_data(claim, values), claim.number)
    events.write(session, lock, *_store_epochs(session, claim, reports), ended)
    return True


def _end_data(claim: Claim, values: Mapping[str, Any]) -> dict[str, Any]:
    columns = {name: values[name] for name in _EVENT_COLUMNS if values.get(name) is not None}
    return {"attempt": claim.attempt, "status": values["status"], **columns}


_CLOSE_ATTEMPT: Final = (
    update(Attempt)
    .where(Attempt.trial_id == bindparam("of_trial"), Attempt.attempt == bindparam("of_attempt"))
    .values(ended_at=bindparam("at"), outcome=bindparam("as_what"), reason=bindparam("why"))
    .execution_options(synchronize_session=False)
)


def _close_attempt(session: Session, claim: Claim, outcome: AttemptOutcome, reason: str | None) -> None:
    key = {"of_trial": claim.trial_id, "of_attempt": claim.attempt}
    session.execute(_CLOSE_ATTEMPT, key | {"at": now(), "as_what": outcome, "why": reason})


def _update(session: Session, claim: Claim, **values: Any) -> bool:
    return leases.update_claimed(session, Trial.id, claim, **values)


# --- the sweep -------------------------------------------------------------------------------------------------------


def expired(session: Session, watch: Watch) -> list[tuple[Claim, bool]]:
    """Claims whose workers were silent for longer than their lease, or are known to be dead; and whether that counts
    as an attempt.
    """
    rows: Any = session.execute(
        select(Trial.id, Trial.job_id, Trial.number, Trial.attempt, Trial.lease_until, Trial.worker).where(
            Trial.status == TrialStatus.RUNNING
        )
    ).all()
    moment = database_now(session)
    return [
        (Claim(row.id, row.job_id, row.number, row.attempt), watch.counts(row))
        for row in rows
        if watch.is_expired(row, moment)
    ]


def resend(session: Session, sent_before: datetime) -> list[int]:
    """Ids of queued trials that may begin and whose message, sent before this moment, may be lost; notes that it is
    sent again now.
    """
    claimable = select(Job.id).where(Job.status.in_(CLAIMABLE))
    moment = database_now(session)
    is_lost = leases.may_be_lost(Trial.enqueued_at, sent_before, moment)
    lost = select(Trial.id).where(Trial.status == TrialStatus.QUEUED, is_lost, Trial.job_id.in_(claimable))
    ids = list(session.scalars(lost.order_by(Trial.id).with_for_update(skip_locked=True)))
    for start in range(0, len(ids), _BATCH):
        session.execute(
            update(Trial)
            .where(Trial.id.in_(ids[start : start + _BATCH]))
            .values(enqueued_at=moment)
            .execution_options(synchronize_session=False)
        )
    return ids


def waiting(session: Session, job_id: str, limit: int) -> list[int]:
    """Ids of the first queued trials of a job."""
    query = select(Trial.id).where(Trial.job_id == job_id, Trial.status == TrialStatus.QUEUED)
    return list(session.scalars(query.order_by(Trial.id).limit(limit)))
