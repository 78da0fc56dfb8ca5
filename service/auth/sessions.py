"""Sessions of browsers in SQL: a random id in a cookie, of which only a hash is stored. Nothing here commits."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Final

from sqlalchemy import delete
from sqlalchemy.orm import Session

from service.store.key_models import ApiKey, BrowserSession
from service.store.session import database_now

LIFETIME: Final = timedelta(hours=12)


def open_session(session: Session, key_id: str) -> str:
    """The id of a new session of a key, for the cookie; it cannot be read again. Sessions that are over are deleted."""
    moment = database_now(session)
    session.execute(delete(BrowserSession).where(BrowserSession.expires_at <= moment))
    session_id = secrets.token_urlsafe(32)
    session.add(
        BrowserSession(
            id_hash=_hash(session_id), key_id=key_id, created_at=moment, expires_at=moment + LIFETIME
        )
    )
    return session_id


def key_of(session: Session, session_id: str) -> ApiKey | None:
    """The key whose session this is; None if the session is over or was closed."""
    row = session.get(BrowserSession, _hash(session_id))
    if row is None or row.expires_at <= database_now(session):
        return None
    return session.get(ApiKey, row.key_id)


def close_session(session: Session, session_id: str) -> None:
    """End a session: its cookie is worth nothing from now on, wherever it was copied to."""
    session.execute(delete(BrowserSession).where(BrowserSession.id_hash == _hash(session_id)))


def _hash(session_id: str) -> str:
    # 256 random bits need no slow hash
    return hashlib.sha256(session_id.encode()).hexdigest()
