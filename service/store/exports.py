"""Exports in SQL: a trial's model in a device's or tool's format. Claims follow the rules of `service.store.leases`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from search.history import TrialStatus
from search.results.exports import ExportSpec, ExportStatus
from search.trial_files import FINAL_PREFIX, MODEL_FILE, NETWORK_FILE
from service.errors import Conflict, NotFound
from service.store import deferred_deletes, events, leases, trials
from service.store.blobs import Blob
from service.store.events import Entry, EventType
from service.store.export_models import Export
from service.store.leases import Claim, Watch
from service.store.models import Trial, now
from service.store.session import database_now

#: In these an export has not ended.
OPEN: Final = frozenset({ExportStatus.QUEUED, ExportStatus.RUNNING})

_CLAIM: Final = leases.claim_statement(Export.id).returning(
    Export.id, Export.attempt, Export.trial_id, Export.name, Export.format, Export.options, Export.model
)


class ExportNotFound(NotFound):
    """The trial has no export with this name."""

    type = "urn:fewbits:problem:export-not-found"


@dataclass(frozen=True, slots=True)
class ExportClaim(Claim):
    """An export claimed by one worker."""

    export_id: int
    name: str
    format: str
    options: Mapping[str, Any]
    model: str

    @property
    def row_id(self) -> int:
        """The key of the claimed row."""
        return self.export_id

    @property
    def prefix(self) -> str:
        """Of the names of the files that the export is made from."""
        return FINAL_PREFIX if self.model == "final" else ""


def get(session: Session, job_id: str, number: int, name: str) -> Export:
    """An export of a trial; ExportNotFound, TrialNotFound or JobNotFound."""
    trial = trials.get(session, job_id, number)
    row = session.scalar(select(Export).where(Export.trial_id == trial.id, Export.name == name))
    if row is None:
        raise ExportNotFound(f"trial {number} of job {job_id} has no export {name!r}")
    return row


def of_trial(session: Session, job_id: str, number: int) -> list[Export]:
    """The exports of a trial, oldest first."""
    trial = trials.get(session, job_id, number)
    return list(session.scalars(select(Export).where(Export.trial_id == trial.id).order_by(Export.id)))


def source_files(session: Session, job_id: str, number: int, model: str) -> dict[str, str]:
    """Name, without a prefix -> SHA-256 of the files that an export is made from.

    Conflict for a trial without a trained model, or without a final training that is done for "final".
    """
    trial = trials.get(session, job_id, number)
    prefix = FINAL_PREFIX if model == "final" else ""
    files = {
        row.name.removeprefix(prefix): row.sha256
        for row in trials.artifacts(session, trial)
        if row.name.startswith(prefix)
    }
    if trial.status != TrialStatus.DONE or not {MODEL_FILE, NETWORK_FILE} & files.keys():
        reason = (
            "has no final training that is done" if prefix else f"is {trial.status} and has no trained model"
        )
        raise Conflict(f"trial {number} {reason}: nothing can be exported")
    return files


def request(
    session: Session, job_id: str, number: int, spec: ExportSpec, name: str, options: Mapping[str, Any]
) -> tuple[Export, bool]:
    """Queue an export; and whether that is new. A request for one that exists changes nothing, unless it failed."""
    trial = trials.get(session, job_id, number)
    lock = events.lock(session, job_id)  # of two requests at once, one waits for the other
    row = session.scalar(
        select(Export)
        .where(Export.trial_id == trial.id, Export.name == name)
        .execution_options(populate_existing=True)
    )
    if row is not None and row.status != ExportStatus.FAILED:
        return row, False
    moment = now()
    if row is None:
        row = Export(trial_id=trial.id, name=name, attempt=0, created_at=moment, epochs_done=0)
        session.add(row)
    row.format, row.options, row.model = spec.format, dict(options), spec.model
    row.status, row.reason = ExportStatus.QUEUED, None
    row.attempts_before, row.enqueued_at, row.finished_at = row.attempt or 0, moment, None
    session.flush()
    if lock is not None:
        events.write(session, lock, _entry(number, name, ExportStatus.QUEUED, {"format": spec.format}))
    return row, True


def remove(session: Session, job_id: str, number: int, name: str) -> None:
    """Delete an export and its file; a worker that is at it stores nothing."""
    row = get(session, job_id, number, name)
    lock = events.lock(session, job_id)
    deferred_deletes.discard(
        session, select(Export.sha256).where(Export.id == row.id, Export.sha256.is_not(None))
    )
    session.execute(delete(Export).where(Export.id == row.id))
    session.expunge(row)
    if lock is not None:
        events.write(session, lock, _entry(number, name, "deleted", {}))


def claim(session: Session, export_id: int, *, worker: str, lease: timedelta) -> ExportClaim | None:
    """Claim a queued export; None if it is not queued (any more): a message may come late or twice."""
    place = session.execute(
        select(Trial.job_id, Trial.number)
        .join(Export, Export.trial_id == Trial.id)
        .where(Export.id == export_id)
    ).one_or_none()
    lock = None if place is None else events.lock(session, place.job_id)
    if place is None or lock is None:
        return None
    row = session.execute(_CLAIM, leases.claim_parameters(session, export_id, worker, lease)).one_or_none()
    if row is None:
        return None
    events.write(
        session, lock, _entry(place.number, row.name, ExportStatus.RUNNING, {"attempt": row.attempt})
    )
    return _claim_of(row, place.job_id, place.number)


def renew(session: Session, claim: ExportClaim, lease: timedelta) -> bool:
    """Prolong the lease; False if another worker has the export, or it is gone."""
    return _update(session, claim, lease_until=database_now(session) + lease)


def finish(
    session: Session,
    claim: ExportClaim,
    blob: Blob,
    *,
    files: Sequence[Mapping[str, Any]],
    proof: Mapping[str, Any],
    figures: Mapping[str, Any] | None,
    notes: Sequence[str],
) -> bool:
    """Store a proven export, whole; False, and nothing stored, if the claim is not the newest."""
    lock = events.lock(session, claim.job_id)
    if lock is None or not _update(
        session,
        claim,
        **leases.ended(ExportStatus.DONE),
        **asdict(blob),
        files=list(files),
        proof=dict(proof),
        figures=None if figures is None else dict(figures),
        notes=list(notes),
    ):
        return False
    data = {"size_bytes": blob.size_bytes, "equal_classes": proof["equal_classes"], "exact": proof["exact"]}
    events.write(session, lock, _entry(claim.number, claim.name, ExportStatus.DONE, data))
    return True


def fail(session: Session, claim: ExportClaim, reason: str) -> None:
    """End an export that cannot be made."""
    lock = events.lock(session, claim.job_id)
    if lock is not None and _update(session, claim, **leases.ended(ExportStatus.FAILED, reason)):
        events.write(session, lock, _entry(claim.number, claim.name, ExportStatus.FAILED, {"reason": reason}))


def release(
    session: Session, claim: ExportClaim, reason: str, *, max_attempts: int, counts: bool = True
) -> None:
    """Return an export to the queue, or end it as FAILED after `max_attempts`."""
    lock = events.lock(session, claim.job_id)
    row = session.get(Export, claim.export_id)
    if lock is None or row is None:
        return
    values = leases.released(claim, row.attempts_before, reason, max_attempts, counts=counts)
    if _update(session, claim, **values):
        data = {"reason": values["reason"]}
        events.write(session, lock, _entry(claim.number, claim.name, values["status"], data))


def job_of(session: Session, export_id: int) -> str | None:
    """The job of a queued export; None if it is not queued (any more)."""
    return session.scalar(
        select(Trial.job_id)
        .join(Export, Export.trial_id == Trial.id)
        .where(Export.id == export_id, Export.status == ExportStatus.QUEUED)
    )


def of_worker(session: Session, worker: str) -> list[ExportClaim]:
    """The exports that a worker is making."""
    return [claim for row, claim in _running(session) if row.worker == worker]


def expired(session: Session, watch: Watch) -> list[tuple[ExportClaim, bool]]:
    """Claims of workers that were silent for longer than their lease, or are dead; and whether the attempt counts."""
    moment = database_now(session)
    return [(claim, watch.counts(row)) for row, claim in _running(session) if watch.is_expired(row, moment)]


def _running(session: Session) -> list[tuple[Export, ExportClaim]]:
    """The exports that are being made, and the claims that make them."""
    rows = session.execute(
        select(Export, Trial.job_id, Trial.number)
        .join(Trial, Trial.id == Export.trial_id)
        .where(Export.status == ExportStatus.RUNNING)
    )
    return [(row, _claim_of(row, job_id, number)) for row, job_id, number in rows]


def _claim_of(row: Any, job_id: str, number: int) -> ExportClaim:
    """The claim of a row, or of its columns."""
    return ExportClaim(
        row.trial_id,
        job_id,
        number,
        row.attempt,
        row.id,
        row.name,
        row.format,
        row.options,
        row.model,
    )


def resend(session: Session, sent_before: datetime) -> list[int]:
    """Ids of queued exports whose message, sent before this moment, may be lost; notes that it is sent again now."""
    moment = database_now(session)
    return list(
        session.scalars(
            update(Export)
            .where(
                Export.status == ExportStatus.QUEUED,
                leases.may_be_lost(Export.enqueued_at, sent_before, moment),
            )
            .values(enqueued_at=moment)
            .returning(Export.id)
        )
    )


def _entry(number: int, name: str, status: str, data: Mapping[str, Any]) -> Entry:
    return Entry(EventType.TRIAL_EXPORT, {"name": name, "status": status, **data}, number)


def _update(session: Session, claim: ExportClaim, **values: Any) -> bool:
    return leases.update_claimed(session, Export.id, claim, **values)
