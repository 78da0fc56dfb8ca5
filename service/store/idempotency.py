"""Requests that are carried out once, however often they are sent.

The key is taken in a transaction of its own, before the work: whoever comes second sees that it is taken. The job's id
is written in the transaction that makes the job. Of two requests at once the database lets one take the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import CursorResult, delete, update
from sqlalchemy.orm import Session

from service.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from service.store.models import IdempotencyKey, now
from service.store.session import insert_of
from service.store.tenancy import LOCAL, tenant_of

#: A request that has not been answered after so long was interrupted: the next one with its key takes its place.
PATIENCE: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Request:
    """A request that carries a key: where it went, and the SHA-256 of what it asked for."""

    route: str
    key: str
    body_sha256: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A key in the hands of one request, until `fill` or `give_back`."""

    tenant: str
    request: Request
    since: datetime


def take(session: Session, request: Request) -> Taken | str:
    """The key, or the id of the job that the first request with it made.

    IdempotencyKeyReused if that had another body, IdempotencyKeyInUse if it is still in progress.
    """
    moment = now()
    tenant = tenant_of(session) or LOCAL
    insert = insert_of(session)
    made = session.scalar(
        insert(IdempotencyKey)
        .values(
            tenant=tenant,
            route=request.route,
            key=request.key,
            body_sha256=request.body_sha256,
            created_at=moment,
        )
        .on_conflict_do_nothing()
        .returning(IdempotencyKey.key)
    )
    if made is not None:
        return Taken(tenant, request, moment)
    row = session.get_one(
        IdempotencyKey, (tenant, request.route, request.key), with_for_update=True, populate_existing=True
    )
    if row.body_sha256 != request.body_sha256:
        raise IdempotencyKeyReused
    if row.job_id is not None:
        return row.job_id
    if moment - row.created_at < PATIENCE:
        raise IdempotencyKeyInUse(
            "the first request with this Idempotency-Key is still in progress: send it again"
        )
    row.created_at = moment
    return Taken(tenant, request, moment)


def fill(session: Session, taken: Taken, job_id: str) -> None:
    """Record which job the request made, in the transaction that makes it.

    IdempotencyKeyInUse if another request took its place.
    """
    changed = session.execute(_own(update(IdempotencyKey), taken).values(job_id=job_id))
    if cast("CursorResult[Any]", changed).rowcount != 1:
        raise IdempotencyKeyInUse("another request with this Idempotency-Key took over: send it again")


def give_back(session: Session, taken: Taken) -> None:
    """Free the key of a request that was refused: it may be sent again, mended."""
    session.execute(_own(delete(IdempotencyKey), taken))


def prune(session: Session, before: datetime) -> None:
    """Forget keys that were first sent before this moment."""
    session.execute(
        delete(IdempotencyKey)
        .where(IdempotencyKey.created_at < before)
        .execution_options(synchronize_session=False)
    )


def _own(statement: Any, taken: Taken) -> Any:
    return statement.where(
        IdempotencyKey.tenant == taken.tenant,
        IdempotencyKey.route == taken.request.route,
        IdempotencyKey.key == taken.request.key,
        IdempotencyKey.created_at == taken.since,
        IdempotencyKey.job_id.is_(None),
    ).execution_options(synchronize_session=False)
