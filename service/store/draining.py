"""Drained machines: their workers end what they do and begin nothing new, so that the machine can be shut down."""

from __future__ import annotations

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from service.store.models import DrainedHost
from service.store.overview import leased
from service.store.session import database_now, dialect_insert
from service.store.workers import host_of


def drain(session: Session, host: str) -> None:
    """Have the workers of a machine begin nothing new."""
    insert = dialect_insert(session)
    session.execute(
        insert(DrainedHost).values(host=host, since=database_now(session)).on_conflict_do_nothing()
    )


def resume(session: Session, host: str) -> bool:
    """Have the workers of a machine begin again; False if it was not drained."""
    return (
        session.scalar(delete(DrainedHost).where(DrainedHost.host == host).returning(DrainedHost.host))
        is not None
    )


def is_drained(session: Session, host: str) -> bool:
    """Whether workers of this machine are to begin nothing."""
    return bool(session.scalar(select(func.count()).where(DrainedHost.host == host)))


def drained(session: Session) -> set[str]:
    """All drained machines."""
    return set(session.scalars(select(DrainedHost.host)))


def running(session: Session, host: str) -> int:
    """How many things the workers of a machine still do."""
    return sum(host_of(lease.worker) == host for lease in leased(session))
