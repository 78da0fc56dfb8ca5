"""Leases: one worker at a time works on a row, and another one takes over when it dies.

Trials, final trainings, exports and the final reports of jobs are leased (`models.Leased`). A claim is a conditional
UPDATE that raises `attempt`. Every later write names the attempt of its claim and is refused if a newer one exists, so
that a worker that was thought dead cannot overwrite what its successor stored. The sweep returns rows to the queue
whose lease has expired, or whose worker is known to be dead.

This module has what trials, final trainings and exports share; `key` is the column that a claim names their row by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Final, cast

from sqlalchemy import CursorResult, Update, bindparam, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from search.history import TrialStatus
from service.store.models import Queued, now
from service.store.session import database_now


class LeaseStatus(Enum):
    """What a worker learns about its claim."""

    HELD = auto()  #: go on
    CANCELLED = auto()  #: stop: the job was cancelled, or has failed
    LOST = auto()  #: stop: another worker has the row, or it is gone


@dataclass(frozen=True, slots=True)
class Claim:
    """A trial, its final training or an export of it, claimed by one worker."""

    trial_id: int
    job_id: str
    number: int
    attempt: int

    @property
    def row_id(self) -> int:
        """The key of the claimed row."""
        return self.trial_id


def claim_statement(key: InstrumentedAttribute[int]) -> Update:
    """The UPDATE that claims a queued row; execute it with `claim_parameters`."""
    row = key.class_
    return (
        update(row)
        .where(key == bindparam("claimed"), row.status == TrialStatus.QUEUED)
        .values(
            status=TrialStatus.RUNNING,
            attempt=row.attempt + 1,
            lease_until=bindparam("until"),
            worker=bindparam("by"),
            started_at=bindparam("at"),
            epochs_done=0,
            reason=None,
        )
    )


@dataclass(frozen=True, slots=True)
class Watch:
    """What a sweep knows of the workers: who is surely dead, and whether silence tells anything.

    While the database was away or its clock was set, nobody could renew a lease. Silence counts once sweeps have run
    for a while without a gap (`by_time`), and what expired in the gap before `calm_since` is nobody's fault.
    """

    is_dead: Callable[[str], bool]
    by_time: bool = True
    calm_since: datetime | None = None

    def is_expired(self, row: Queued, moment: datetime) -> bool:
        """True if the worker of a running row was silent for longer than its lease, or is known to be dead."""
        if row.lease_until is None or row.worker is None or self.is_dead(row.worker):
            return True
        return self.by_time and row.lease_until < moment

    def counts(self, row: Queued) -> bool:
        """Whether the attempt of an expired row counts against its limit."""
        if row.lease_until is None or row.worker is None or self.calm_since is None:
            return True
        return row.lease_until >= self.calm_since or self.is_dead(row.worker)


def claim_parameters(session: Session, row_id: int, worker: str, lease: timedelta) -> dict[str, Any]:
    """The parameters of a `claim_statement`: the lease begins now, by the clock of the database."""
    moment = database_now(session)
    return {"claimed": row_id, "until": moment + lease, "by": worker, "at": moment}


def update_claimed(session: Session, key: InstrumentedAttribute[int], claim: Claim, **values: Any) -> bool:
    """Change the row if the claim is its newest and it is running; False if not."""
    row = key.class_
    changed = session.execute(
        update(row)
        .where(key == claim.row_id, row.attempt == claim.attempt, row.status == TrialStatus.RUNNING)
        .values(**values)
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", changed).rowcount == 1


def may_be_lost(sent_at: Any, sent_before: datetime, moment: datetime) -> Any:
    """Whether a message may be lost: it was sent before `sent_before`, or at a time as far ahead of `moment`, now.

    Machines note by their own clocks when they send: one that runs ahead by an hour must not silence a row for an hour.
    """
    return (sent_at < sent_before) | (sent_at > moment + (moment - sent_before))


def ended(status: str, reason: str | None = None) -> dict[str, Any]:
    """The values of a row that has ended."""
    return {"status": status, "reason": reason, "finished_at": now(), "lease_until": None}


#: Attempts that do not count are limited too: this many times those that do.
_UNCOUNTED: Final = 10


def released(
    claim: Claim, attempts_before: int, reason: str, max_attempts: int, *, counts: bool = True
) -> dict[str, Any]:
    """The values of a row whose worker gave it back or died: QUEUED, or FAILED after `max_attempts`.

    `attempts_before`: those that do not count, since its user had it retried, or since they ended for causes outside it
    (`counts` is False: the database or a disk was away, or the worker was restarted).
    """
    if not counts and claim.attempt < _UNCOUNTED * max_attempts:
        queued = {"status": TrialStatus.QUEUED, "reason": reason, "enqueued_at": now(), "lease_until": None}
        return queued | {"attempts_before": attempts_before + 1}
    attempts = claim.attempt - attempts_before
    if attempts >= max_attempts:
        plural = "" if attempts == 1 else "s"
        return ended(TrialStatus.FAILED, f"{reason} ({attempts} attempt{plural})")
    return {"status": TrialStatus.QUEUED, "reason": reason, "enqueued_at": now(), "lease_until": None}
