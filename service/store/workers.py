"""Which workers are alive: each notes, in the database, that it was there."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from service.store.models import Worker, now

#: A worker silent for so long is forgotten.
_FORGET = timedelta(days=1)

#: A worker may be silent for so long and still be taken for alive.
_SILENCE = timedelta(seconds=30)


def seen(session: Session, name: str) -> None:
    """Note that the worker is alive."""
    moment = now()
    known = session.scalar(
        update(Worker).where(Worker.name == name).values(seen_at=moment).returning(Worker.name)
    )
    if known is None:
        session.execute(delete(Worker).where(Worker.seen_at < moment - _FORGET))
        session.add(Worker(name=name, started_at=moment, seen_at=moment))


def last_seen(session: Session) -> datetime | None:
    """When any worker was last heard of."""
    return session.scalar(select(func.max(Worker.seen_at)))


def silent_since(heartbeat: timedelta) -> datetime:
    """A worker that was last heard of before this moment is taken for dead."""
    return now() - max(3 * heartbeat, _SILENCE)


def alive(session: Session, heartbeat: timedelta) -> int:
    """How many worker processes were heard of lately."""
    heard_of = Worker.seen_at >= silent_since(heartbeat)
    return session.scalar(select(func.count()).where(heard_of)) or 0
