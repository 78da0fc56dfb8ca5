"""Which worker processes are alive: each one reports to the database now and then."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from service.store.models import Worker
from service.store.session import database_now

#: The row of a worker that was silent for longer is deleted.
_FORGET = timedelta(days=1)

#: The least time of silence after which a worker counts as dead.
_SILENCE = timedelta(seconds=20)


def host_of(name: str) -> str:
    """The machine of a worker: names are `host/pid/start`."""
    return name.rsplit("/", 2)[0]


def heartbeat(session: Session, name: str) -> None:
    """Note that the worker is alive."""
    _note(session, name, {})


def note_problem(session: Session, name: str, problem: str | None) -> None:
    """Note that the worker is alive, and what keeps it from working; None: nothing does."""
    _note(session, name, {"problem": problem})


def _note(session: Session, name: str, values: dict[str, str | None]) -> None:
    moment = database_now(session)
    updated = session.scalar(
        update(Worker).where(Worker.name == name).values(seen_at=moment, **values).returning(Worker.name)
    )
    if updated is None:
        session.execute(delete(Worker).where(Worker.seen_at < moment - _FORGET))
        session.add(Worker(name=name, started_at=moment, seen_at=moment, **values))


def forget(session: Session, names: Collection[str]) -> None:
    """Remove workers that have ended in order: nobody need wait for their silence."""
    session.execute(delete(Worker).where(Worker.name.in_(names)))


def problems(session: Session, interval: timedelta) -> list[str]:
    """What keeps workers that are alive from working."""
    rows = session.execute(
        select(Worker.name, Worker.problem)
        .where(Worker.seen_at >= dead_before(session, interval), Worker.problem.is_not(None))
        .order_by(Worker.name)
    )
    return [f"{name}: {problem}" for name, problem in rows]


def last_seen(session: Session) -> datetime | None:
    """When a worker last reported; None if none ever did."""
    return session.scalar(select(func.max(Worker.seen_at)))


def dead_before(session: Session, interval: timedelta) -> datetime:
    """A worker that last reported before this moment counts as dead; `interval`: the time between heartbeats."""
    return database_now(session) - max(3 * interval, _SILENCE)


def alive(session: Session, interval: timedelta) -> int:
    """How many worker processes are alive; `interval`: the time between heartbeats."""
    return session.scalar(select(func.count()).where(Worker.seen_at >= dead_before(session, interval))) or 0
