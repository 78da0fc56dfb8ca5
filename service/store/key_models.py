"""The tables of tenants and their keys."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from service.store.models import Base


class Tenant(Base):
    """The owner of jobs, models and data. For a limit that is NULL the settings apply."""

    __tablename__ = "tenants"

    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    max_running_jobs: Mapped[int | None]
    max_trials: Mapped[int | None] = mapped_column(BigInteger)
    max_stored_bytes: Mapped[int | None] = mapped_column(BigInteger)
    max_compute_s: Mapped[float | None]
    weight: Mapped[float] = mapped_column(default=1.0)  #: its share of the workers, beside other tenants'
    turn: Mapped[float] = mapped_column(
        default=0.0
    )  #: when its last trial had its turn: `service.store.turns`
    next_turn: Mapped[float] = mapped_column(default=0.0)  #: when its next one has, at the earliest


class ApiKey(Base):
    """A key of a tenant. The secret is not stored, only its scrypt hash."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)  #: public; part of the token
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.name", ondelete="CASCADE"), index=True)
    name: Mapped[str]  #: for people
    scope: Mapped[str]  #: Scope
    secret_hash: Mapped[str]  #: scrypt$n$r$p$salt$hash
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    replaced_by: Mapped[str | None]  #: id of the key it was rotated into
    last_used_at: Mapped[datetime | None]  #: to about a minute


class BrowserSession(Base):
    """A login of the dashboard's user. It ends with its key, at logout, or after hours."""

    __tablename__ = "sessions"

    id_hash: Mapped[str] = mapped_column(primary_key=True)  #: SHA-256 of the id in the cookie
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
