"""Sweeps: every worker offers to look for the dead, one at a time does, and a row tells when.

The row is also how silence is judged. A gap between sweeps means that the database was away, that its clock was set,
or that nobody ran: leases that expired meanwhile tell nothing about their workers, who get time to renew them first.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from service.store.models import Sweep
from service.store.session import database_now, dialect_insert

#: The only row.
_ROW: Final = 1

#: A gap between two sweeps is longer than this, and than so many intervals.
_GAP, _INTERVALS = timedelta(seconds=15), 3

#: Heartbeats that the workers have after a gap.
_HEARTBEATS: Final = 3


def begin(session: Session, *, worker: str, interval: timedelta) -> bool:
    """Take the turn to sweep; False if another worker swept within the interval."""
    moment = database_now(session)
    insert = dialect_insert(session)
    session.execute(
        insert(Sweep)
        .values(id=_ROW, worker=worker, began_at=moment - interval, calm_since=moment)
        .on_conflict_do_nothing()
    )
    row = session.get_one(Sweep, _ROW, with_for_update=True, populate_existing=True)
    since_last = moment - row.began_at
    if timedelta(0) <= since_last < interval * 0.9:
        return False
    if not timedelta(0) <= since_last <= max(_GAP, _INTERVALS * interval):
        row.calm_since = moment
    row.worker, row.began_at = worker, moment
    return True


def end(session: Session) -> None:
    """Note that a sweep has ended."""
    row = session.get(Sweep, _ROW)
    if row is not None:
        row.ended_at = database_now(session)


def calm(session: Session, heartbeat: timedelta) -> tuple[datetime | None, bool]:
    """Since when sweeps have followed one another without a gap, and whether that is long enough for silence to count;
    `heartbeat`: the interval of heartbeats.
    """
    row = session.get(Sweep, _ROW)
    if row is None:
        return None, True
    return row.calm_since, database_now(session) - row.calm_since >= _HEARTBEATS * heartbeat


def last_ended(session: Session) -> datetime | None:
    """When the last sweep ended; None if none ever did."""
    row = session.get(Sweep, _ROW)
    return None if row is None else row.ended_at


def is_late(session: Session, interval: timedelta) -> bool:
    """Whether no sweep has ended for so long that trials of dead workers would not be noticed."""
    ended_at = last_ended(session)
    patience = max(_GAP, _INTERVALS * interval) * 2
    return ended_at is None or ended_at < database_now(session) - patience
