"""Trials in SQL: added and read, with their epochs, layers, attempts and files. `service.store.claims` has what
workers do with them.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from cachetools import LRUCache
from sqlalchemy import ColumnElement, Row, delete, insert, select, true
from sqlalchemy.orm import Session

from search.history import TRIAL_ENDED, Assignment, NewTrial, TrialRecord, TrialStatus
from service.errors import ArtifactNotFound, TrialNotFound
from service.store import deferred_deletes, events, jobs
from service.store.blobs import Blob
from service.store.events import Entry, EventType
from service.store.final_training_models import FinalTraining
from service.store.models import Artifact, Attempt, Trial, TrialEpoch, TrialLayer, now
from service.store.tenancy import tenant_of

#: Job id, number and assignment key of a trial.
_CacheKey = tuple[str, int, str]

#: Assignments of the jobs that this process advances or measures; some kilobytes each.
_assignments: LRUCache[_CacheKey, Assignment] = LRUCache(4096)
_assignments_lock: Final = threading.Lock()


def add(session: Session, job_id: str, proposed: Iterable[NewTrial]) -> list[int]:
    """Store trials in status QUEUED; their ids."""
    moment = now()
    rows = [
        Trial(
            job_id=job_id,
            number=new.number,
            status=TrialStatus.QUEUED,
            assignment=new.assignment.to_json(),
            assignment_key=new.assignment.key,
            oracle_trial=dict(new.oracle_trial),
            seed=new.seed,
            epochs=new.epochs,
            initial_epoch=new.initial_epoch,
            parent=new.parent,
            enqueued_at=moment,
            created_at=moment,
        )
        for new in proposed
    ]
    session.add_all(rows)
    session.flush()
    events.append(
        session, job_id, *(Entry(EventType.TRIAL_QUEUED, {"attempt": 0}, row.number) for row in rows)
    )
    return [row.id for row in rows]


def get(session: Session, job_id: str, number: int) -> Trial:
    """The trial; TrialNotFound or JobNotFound."""
    trial = session.scalar(select(Trial).where(Trial.job_id == job_id, Trial.number == number))
    if trial is None or tenant_of(session) is not None:
        jobs.get(session, job_id)  # a trial row has no tenant: its job has
    if trial is None:
        raise TrialNotFound(f"job {job_id} has no trial {number}")
    return trial


def page(
    session: Session, job_id: str, *, limit: int, after: int = -1, status: TrialStatus | None = None
) -> list[Trial]:
    """Trials of a job by number, those after `after`."""
    query = (
        select(Trial).where(Trial.job_id == job_id, Trial.number > after).order_by(Trial.number).limit(limit)
    )
    if status is not None:
        query = query.where(Trial.status == status)
    return list(session.scalars(query))


#: Columns of a `TrialRecord`, besides the assignment.
_COLUMNS: Final = (
    Trial.number,
    Trial.assignment_key,
    Trial.status,
    Trial.metric,
    Trial.cost,
    Trial.oracle_trial,
    Trial.epochs,
    Trial.initial_epoch,
    Trial.parent,
    Trial.proof,
    Trial.post_training_metric,
)


@dataclass(frozen=True, slots=True)
class History:
    """The trials of a job as they were at a version of it. Records never change: a trial that does gets a new one."""

    job_id: str
    version: int
    records: Sequence[TrialRecord]


def history_since(session: Session, job_id: str, earlier: History | None) -> History:
    """The history of a job now. Of an earlier one only the trials are read that have had an event since.

    Every change of a trial writes an event (but for `post_training_metric`, which the next event brings along).
    JobNotFound.
    """
    version = jobs.get(session, job_id).version
    if earlier is None or earlier.job_id != job_id or earlier.version > version:
        return History(job_id, version, history(session, job_id))
    if earlier.version == version:
        return earlier
    numbers = events.trials_since(session, job_id, earlier.version)
    if len(numbers) > _MOST_CHANGED:
        return History(job_id, version, history(session, job_id))
    records = list(earlier.records)
    for changed in _read(session, job_id, Trial.number.in_(numbers)) if numbers else ():
        if changed.number < len(records):
            records[changed.number] = changed
        elif changed.number == len(records):
            records.append(changed)
        else:
            return History(job_id, version, history(session, job_id))
    return History(job_id, version, records)


#: Trials named in one statement.
_AT_ONCE: Final = 500

#: Changed trials that are read one by one; of more all are read.
_MOST_CHANGED: Final = 500


def history(session: Session, job_id: str) -> list[TrialRecord]:
    """The job's trials as the search sees them, by number."""
    return _read(session, job_id, true())


def _read(session: Session, job_id: str, which: ColumnElement[bool]) -> list[TrialRecord]:
    rows = session.execute(
        select(*_COLUMNS).where(Trial.job_id == job_id, which).order_by(Trial.number)
    ).all()
    assignments = _read_assignments(session, job_id, {row.number: row.assignment_key for row in rows})
    return [record(row, assignments[row.number]) for row in rows if row.number in assignments]


def _read_assignments(session: Session, job_id: str, keys: Mapping[int, str]) -> dict[int, Assignment]:
    """Assignments by number. They never change, so only new ones are read: a search needs all at each proposal."""
    with _assignments_lock:
        cached = {number: _assignments.get((job_id, number, key)) for number, key in keys.items()}
    assignments = {number: assignment for number, assignment in cached.items() if assignment is not None}
    missing = [number for number in keys if number not in assignments]
    if not missing:
        return assignments
    query = select(Trial.number, Trial.assignment).where(
        Trial.job_id == job_id, Trial.number.between(missing[0], missing[-1])
    )
    new = {
        number: Assignment.from_json(document)
        for number, document in session.execute(query)
        if number in keys and number not in assignments
    }
    with _assignments_lock:
        _assignments.update(
            {(job_id, number, keys[number]): assignment for number, assignment in new.items()}
        )
    return assignments | new


def record(row: Trial | Row[Any], assignment: Assignment | None = None) -> TrialRecord:
    """A row as a frozen value; `assignment`: that of the row, if it was parsed before."""
    return TrialRecord(
        number=row.number,
        assignment=Assignment.from_json(row.assignment) if assignment is None else assignment,
        status=TrialStatus(row.status),
        metric=row.metric,
        cost=row.cost,
        oracle_trial=row.oracle_trial,
        epochs=row.epochs,
        initial_epoch=row.initial_epoch,
        parent=row.parent,
        proof=row.proof,
        post_training_metric=row.post_training_metric,
    )


def put_artifacts(session: Session, trial_id: int, blobs: dict[str, Blob]) -> None:
    """Store the names of blobs as files of the trial; a name that exists gets the new content."""
    replaced = Artifact.trial_id == trial_id, Artifact.name.in_(list(blobs))
    if session.scalar(select(Artifact.trial_id).where(*replaced).limit(1)) is not None:
        deferred_deletes.discard(session, select(Artifact.sha256).where(*replaced))
        session.execute(delete(Artifact).where(*replaced))
    moment = now()
    rows = [
        {"trial_id": trial_id, "name": name, **asdict(blob), "created_at": moment}
        for name, blob in blobs.items()
    ]
    if rows:
        session.execute(insert(Artifact), rows)


def remove_files(session: Session, job_id: str, kept: Collection[int], kept_names: Collection[str]) -> None:
    """Remove the files of a job's trials, but for those with these numbers or names, and of trials that were trained on
    by `finalize`.
    """
    finalized = select(FinalTraining.trial_id)
    rows = session.execute(
        select(Trial.number, Trial.id).where(Trial.job_id == job_id, Trial.id.not_in(finalized))
    )
    others = [row.id for row in rows if row.number not in kept]
    for start in range(0, len(others), _AT_ONCE):
        part = others[start : start + _AT_ONCE]
        removed = Artifact.trial_id.in_(part), Artifact.name.not_in(list(kept_names))
        deferred_deletes.discard(session, select(Artifact.sha256).where(*removed))
        session.execute(delete(Artifact).where(*removed))


def epochs(session: Session, trial: Trial) -> list[TrialEpoch]:
    """The epochs of the trial's newest attempt."""
    query = (
        select(TrialEpoch)
        .where(TrialEpoch.trial_id == trial.id, TrialEpoch.attempt == trial.attempt)
        .order_by(TrialEpoch.epoch)
    )
    return list(session.scalars(query))


def attempts(session: Session, trial: Trial) -> list[Attempt]:
    """The attempts at the trial, oldest first."""
    query = select(Attempt).where(Attempt.trial_id == trial.id).order_by(Attempt.attempt)
    return list(session.scalars(query))


def layers(session: Session, trial: Trial) -> list[TrialLayer]:
    """The energies of the trial's layers, in order."""
    query = select(TrialLayer).where(TrialLayer.trial_id == trial.id).order_by(TrialLayer.position)
    return list(session.scalars(query))


def artifacts(session: Session, trial: Trial) -> list[Artifact]:
    """The trial's files, by name."""
    return list(
        session.scalars(select(Artifact).where(Artifact.trial_id == trial.id).order_by(Artifact.name))
    )


def artifact(session: Session, trial: Trial, name: str) -> Artifact:
    """One file of the trial; ArtifactNotFound."""
    row = session.get(Artifact, (trial.id, name))
    if row is None:
        raise ArtifactNotFound(f"trial {trial.number} has no artifact {name!r}")
    return row


def in_flight(records: Sequence[TrialRecord]) -> int:
    """How many trials have not ended."""
    return sum(record.status not in TRIAL_ENDED for record in records)
