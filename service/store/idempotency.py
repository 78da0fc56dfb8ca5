"""Idempotency keys: a request that is sent several times is carried out once.

The key is claimed in a separate transaction before the work, so that a second request sees the claim. The job's id is
written in the transaction that creates the job. Of two requests at once the database lets one claim the key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, cast

from sqlalchemy import CursorResult, delete, update
from sqlalchemy.orm import Session

from service.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from service.store.models import IdempotencyKey, now
from service.store.session import dialect_insert
from service.store.tenancy import LOCAL, tenant_of

#: A claim that is older was interrupted: the next request with the key takes it over.
PATIENCE: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request that carries a key: its route, and the SHA-256 of its body."""

    route: str
    key: str
    body_sha256: str


@dataclass(frozen=True, slots=True)
class KeyClaim:
    """A key claimed by one request, until `complete` or `release`."""

    tenant: str
    request: KeyedRequest
    since: datetime


def claim(session: Session, request: KeyedRequest) -> KeyClaim | str:
    """Claim the key, or return the id of the job that the first request with it created.

    IdempotencyKeyReused if that had another body, IdempotencyKeyInUse if it is still in progress.
    """
    moment = now()
    tenant = tenant_of(session) or LOCAL
    insert = dialect_insert(session)
    inserted = session.scalar(
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
    if inserted is not None:
        return KeyClaim(tenant, request, moment)
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
    return KeyClaim(tenant, request, moment)


def complete(session: Session, claim: KeyClaim, job_id: str) -> None:
    """Record which job the request made, in the transaction that makes it.

    IdempotencyKeyInUse if another request took its place.
    """
    changed = session.execute(_claimed(update(IdempotencyKey), claim).values(job_id=job_id))
    if cast("CursorResult[Any]", changed).rowcount != 1:
        raise IdempotencyKeyInUse("another request with this Idempotency-Key took over: send it again")


def release(session: Session, claim: KeyClaim) -> None:
    """Release the key of a request that was refused, so that it may be corrected and sent again."""
    session.execute(_claimed(delete(IdempotencyKey), claim))


def prune(session: Session, before: datetime) -> None:
    """Delete keys that were first sent before this moment."""
    session.execute(
        delete(IdempotencyKey)
        .where(IdempotencyKey.created_at < before)
        .execution_options(synchronize_session=False)
    )


def _claimed(statement: Any, claim: KeyClaim) -> Any:
    return statement.where(
        IdempotencyKey.tenant == claim.tenant,
        IdempotencyKey.route == claim.request.route,
        IdempotencyKey.key == claim.request.key,
        IdempotencyKey.created_at == claim.since,
        IdempotencyKey.job_id.is_(None),
    ).execution_options(synchronize_session=False)
