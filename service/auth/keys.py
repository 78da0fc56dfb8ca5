"""Tenants and their keys in SQL. Callers pass a session without a tenant; nothing here commits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from service.auth import tokens
from service.auth.scopes import KeyScope
from service.auth.tokens import Token
from service.store.key_models import ApiKey, Tenant
from service.store.models import now
from service.store.session import database_now

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
#: `last_used_at` is written at most this often.
_USE_PRECISION: Final = timedelta(minutes=1)


class InvalidKey(ValueError):
    """A key cannot be created, changed or found; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """Quotas of a tenant; None: the settings' quota."""

    max_running_jobs: int | None = None
    max_trials: int | None = None
    max_stored_bytes: int | None = None
    max_compute_s: float | None = None


def set_weight(session: Session, tenant: str, weight: float) -> Tenant:
    """Set the tenant's share of the workers, beside that of others: 1.0 unless set."""
    if not 0.01 <= weight <= 100:
        raise InvalidKey(f"the weight is {weight:g}; 0.01 to 100 are allowed")
    row = ensure_tenant(session, tenant)
    row.weight = weight
    return row


def create(
    session: Session, *, tenant: str, name: str, scope: KeyScope, lifetime: timedelta | None = None
) -> tuple[ApiKey, Token]:
    """A new key, and its token, which cannot be read again. Creates the tenant if it is missing."""
    ensure_tenant(session, tenant)
    if not name or len(name) > 200 or not name.isprintable():
        raise InvalidKey("the name must be 1 to 200 printable characters")
    if lifetime is not None and lifetime <= timedelta(0):
        raise InvalidKey("the lifetime must be positive")
    token, moment = tokens.new(), database_now(session)
    row = ApiKey(
        id=token.key_id,
        tenant=tenant,
        name=name,
        scope=scope.value,
        secret_hash=tokens.hashed(token.secret),
        created_at=moment,
        expires_at=None if lifetime is None else moment + lifetime,
    )
    session.add(row)
    session.flush()
    return row, token


def ensure_tenant(session: Session, name: str) -> Tenant:
    """The tenant of this name, created if it is missing. InvalidKey if the name is not valid."""
    if not _NAME.fullmatch(name):
        raise InvalidKey(
            f"{name!r} is not a valid tenant name: use 1 to 64 letters, digits, dots, dashes or underscores"
        )
    row = session.get(Tenant, name)
    if row is None:
        row = Tenant(name=name, created_at=now())
        session.add(row)
        session.flush()
    return row


def set_limits(session: Session, tenant: str, limits: TenantLimits) -> Tenant:
    """Replace the tenant's quotas."""
    row = ensure_tenant(session, tenant)
    row.max_running_jobs = limits.max_running_jobs
    row.max_trials = limits.max_trials
    row.max_stored_bytes = limits.max_stored_bytes
    row.max_compute_s = limits.max_compute_s
    return row


def get(session: Session, key_id: str) -> ApiKey:
    """The key; InvalidKey if none has this id."""
    row = session.get(ApiKey, key_id)
    if row is None:
        raise InvalidKey(f"no key has the id {key_id!r}: `fewbits keys list` shows them")
    return row


def listed(session: Session, tenant: str | None = None) -> list[ApiKey]:
    """All keys, or one tenant's, the oldest first."""
    query = select(ApiKey).order_by(ApiKey.created_at, ApiKey.id)
    if tenant is not None:
        query = query.where(ApiKey.tenant == tenant)
    return list(session.scalars(query))


def rotate(
    session: Session, key_id: str, *, grace: timedelta, lifetime: timedelta | None = None
) -> tuple[ApiKey, Token]:
    """A new key that replaces this one, which stays valid for `grace`. InvalidKey if it is not valid any more."""
    old = get(session, key_id)
    if not is_valid(old, database_now(session)):
        raise InvalidKey(f"key {key_id} is expired or revoked: create a new one")
    row, token = create(
        session, tenant=old.tenant, name=old.name, scope=KeyScope(old.scope), lifetime=lifetime
    )
    end = database_now(session) + grace
    old.expires_at = end if old.expires_at is None else min(old.expires_at, end)
    old.replaced_by = row.id
    return row, token


def revoke(session: Session, key_id: str) -> ApiKey:
    """Revoke a key, permanently. A second call changes nothing."""
    row = get(session, key_id)
    row.revoked_at = row.revoked_at or now()
    return row


def is_valid(row: ApiKey, moment: datetime) -> bool:
    """True unless the key is expired or revoked."""
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > moment)


def exist(session: Session) -> bool:
    """True if a key was ever created, even if none is valid any more: the service then requires one."""
    return session.scalar(select(ApiKey.id).limit(1)) is not None


def remove_all(session: Session) -> int:
    """Delete every key, valid or not, so that a service on loopback requires none; the number of keys deleted."""
    return len(list(session.scalars(delete(ApiKey).returning(ApiKey.id))))


def any_valid(session: Session) -> bool:
    """True if there is a key that opens the service."""
    valid = select(ApiKey.id).where(
        ApiKey.revoked_at.is_(None),
        or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > database_now(session)),
    )
    return session.scalar(valid.limit(1)) is not None


def is_use_recorded(row: ApiKey) -> bool:
    """True if a use was recorded within the last minute."""
    return row.last_used_at is not None and row.last_used_at > now() - _USE_PRECISION


def record_use(session: Session, key_id: str) -> None:
    """Record that the key was used now."""
    session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=now()))
