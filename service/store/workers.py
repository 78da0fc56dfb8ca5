"""Which worker processes are alive: each one reports to the database now and then."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from service.store.models import Worker, now

#: The row of a worker that was silent for longer is deleted.
_FORGET = timedelta(days=1)

#: The least time of silence after which a worker counts as dead.
_SILENCE = timedelta(seconds=20)


def heartbeat(session: Session, name: str) -> None:
    """Note that the worker is alive."""
    moment = now()
    updated = session.scalar(
        update(Worker).where(Worker.name == name).values(seen_at=moment).returning(Worker.name)
    )
    if updated is None:
        session.execute(delete(Worker).where(Worker.seen_at < moment - _FORGET))
        session.add(Worker(name=name, started_at=moment, seen_at=moment))


def last_seen(session: Session) -> datetime | None:
    """When a worker last reported; None if none ever did."""
    return session.scalar(select(func.max(Worker.seen_at)))


def dead_before(interval: timedelta) -> datetime:
    """A worker that last reported before this moment counts as dead; `interval`: the time between heartbeats."""
    return now() - max(3 * interval, _SILENCE)


def alive(session: Session, interval: timedelta) -> int:
    """How many worker processes are alive; `interval`: the time between heartbeats."""
    return session.scalar(select(func.count()).where(Worker.seen_at >= dead_before(interval))) or 0
