"""Tenants and their keys in SQL. Callers bring a session without a tenant; nothing here commits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from service.auth import tokens
from service.auth.scopes import Scope
from service.auth.tokens import Token
from service.store.key_models import ApiKey, Tenant
from service.store.models import now

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
#: `last_used_at` is written at most so often.
_USE_PRECISION: Final = timedelta(minutes=1)


class InvalidKey(ValueError):
    """A key cannot be made, changed or found as asked; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a tenant may use; None: what the settings say."""

    max_running_jobs: int | None = None
    max_trials: int | None = None
    max_stored_bytes: int | None = None
    max_compute_s: float | None = None


def create(
    session: Session, *, tenant: str, name: str, scope: Scope, lifetime: timedelta | None = None
) -> tuple[ApiKey, Token]:
    """A new key, and the token to hand out: it cannot be read again. Makes the tenant if there is none."""
    ensure_tenant(session, tenant)
    if not name or len(name) > 200 or not name.isprintable():
        raise InvalidKey("the name must be 1 to 200 printable characters")
    if lifetime is not None and lifetime <= timedelta(0):
        raise InvalidKey("the key would have expired already: give it a positive lifetime")
    token, moment = tokens.new(), now()
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
    """The tenant of this name, made if there is none. InvalidKey if it cannot be a name."""
    if not _NAME.fullmatch(name):
        raise InvalidKey(
            f"{name!r} cannot name a tenant: 1 to 64 letters, digits, dots, dashes and underscores"
        )
    row = session.get(Tenant, name)
    if row is None:
        row = Tenant(name=name, created_at=now())
        session.add(row)
        session.flush()
    return row


def set_limits(session: Session, tenant: str, limits: Limits) -> Tenant:
    """Replace what the tenant may use."""
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
    """A new key in the place of this one, which is good for `grace` longer. InvalidKey if it is good no more."""
    old = get(session, key_id)
    if not is_good(old, now()):
        raise InvalidKey(f"key {key_id} has expired or was revoked: create a new one")
    row, token = create(session, tenant=old.tenant, name=old.name, scope=Scope(old.scope), lifetime=lifetime)
    end = now() + grace
    old.expires_at = end if old.expires_at is None else min(old.expires_at, end)
    old.replaced_by = row.id
    return row, token


def revoke(session: Session, key_id: str) -> ApiKey:
    """End a key for good. Revoking twice is harmless."""
    row = get(session, key_id)
    row.revoked_at = row.revoked_at or now()
    return row


def is_good(row: ApiKey, moment: datetime) -> bool:
    """True unless the key has expired or was revoked."""
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > moment)


def exist(session: Session) -> bool:
    """True if any key is good: from then on the service asks for one."""
    good = select(ApiKey.id).where(
        ApiKey.revoked_at.is_(None), or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now())
    )
    return session.scalar(good.limit(1)) is not None


def was_used_lately(row: ApiKey) -> bool:
    """True if the last use is noted already."""
    return row.last_used_at is not None and row.last_used_at > now() - _USE_PRECISION


def note_use(session: Session, key_id: str) -> None:
    """Note that the key was used now."""
    session.execute(update(ApiKey).where(ApiKey.id == key_id).values(last_used_at=now()))
