"""From a request's key to its caller. Verified keys are cached for seconds, because scrypt takes 40 ms."""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cachetools import LRUCache
from fastapi.concurrency import run_in_threadpool

from service.auth import keys, sessions, tokens
from service.auth.buckets import Buckets, LocalBuckets, RateState
from service.auth.scopes import OWNER, Caller, KeyScope
from service.auth.tokens import Token
from service.errors import RateLimited, Unauthorized
from service.settings import Settings
from service.store.key_models import ApiKey
from service.store.session import Database, database_now

#: Wrong keys an address may send in a minute: each costs the service an scrypt.
MAX_FAILURES: Final = 30
_MAX_CACHED: Final = 4096
#: What a key that does not exist is compared with; nobody knows the secret.
_NO_SECRET: Final = tokens.hashed(tokens.new().secret)
_CONCURRENT_HASHES: Final = 2  # 16 MiB and a core each


@dataclass(frozen=True, slots=True)
class _Verification:
    """The caller that a token stands for, None if it is not valid; cached until `until` (monotonic seconds), and no
    longer than the key is valid by the clock of the database.
    """

    caller: Caller | None
    until: float


@dataclass(frozen=True, slots=True)
class Credentials:
    """What identifies a request: its key or its browser's session, its address, and whether a proxy forwarded it."""

    key: str | None
    address: str
    is_forwarded: bool = False
    session_id: str | None = None


class Authenticator:
    """Identifies callers by their keys. On loopback, until a key is created, every caller is the owner."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        buckets: Buckets,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._settings = settings
        self._buckets = buckets
        self._clock = clock
        self._lock = threading.Lock()
        #: By the token's digest. Outdated entries stay: they tell keys in use from guesses.
        self._verified: LRUCache[bytes, _Verification] = LRUCache(_MAX_CACHED)
        #: Address -> the moment from which on it may try another key.
        self._blocked: LRUCache[str, float] = LRUCache(_MAX_CACHED)
        self._hashing = threading.BoundedSemaphore(_CONCURRENT_HASHES)
        self._keyless_until = -math.inf

    async def identify(self, credentials: Credentials) -> Caller:
        """The caller; Unauthorized if there is no key, or it is unknown, expired or revoked."""
        if credentials.key is None and credentials.session_id is not None:
            caller = await self._of_session(credentials.session_id)
            if caller is not None:
                return caller
        if credentials.key is None:
            await self._require_keyless(credentials)
            return OWNER
        token = tokens.parse(credentials.key)
        verification = None if token is None else self._cached(token)
        if verification is None or verification.until <= self._clock():
            verification = await run_in_threadpool(self._verify, token, credentials.address)
        if verification.caller is None:
            raise Unauthorized("the key is unknown, expired or revoked")
        return verification.caller

    async def limit(self, caller: Caller) -> RateState | None:
        """Count the request against the rate of the caller's key; None if that is not limited."""
        limit = self._settings.requests_per_minute
        if caller.key_id is None or not limit:
            return None
        if isinstance(self._buckets, LocalBuckets):  # a few microseconds: a thread would cost more
            return self._buckets.consume(caller.key_id, limit)
        return await run_in_threadpool(self._buckets.consume, caller.key_id, limit)

    async def open_session(self, credentials: Credentials) -> str | None:
        """The id of a new session of the request's key; None where no key is needed. Raises as `identify` does."""
        caller = await self.identify(credentials)
        return None if caller.key_id is None else await run_in_threadpool(self._open_session, caller.key_id)

    async def close_session(self, session_id: str) -> None:
        """End a session. Other processes notice after the time for which they cache keys."""
        with self._lock:
            self._verified.pop(_digest(session_id), None)
        await run_in_threadpool(self._close_session, session_id)

    async def _of_session(self, session_id: str) -> Caller | None:
        with self._lock:
            verification = self._verified.get(_digest(session_id))
        if verification is None or verification.until <= self._clock():
            verification = await run_in_threadpool(self._verify_session, session_id)
        return verification.caller

    def _open_session(self, key_id: str) -> str:
        with self._database.transaction() as session:
            return sessions.open_session(session, key_id)

    def _close_session(self, session_id: str) -> None:
        with self._database.transaction() as session:
            sessions.close_session(session, session_id)

    def _verify_session(self, session_id: str) -> _Verification:
        began = self._clock()
        with self._database.reading() as session:
            row, moment = sessions.key_of(session, session_id), database_now(session)
        if row is None or not keys.is_valid(row, moment):
            return _Verification(None, began)  # not cached: guesses would fill the cache
        caller = Caller(row.tenant, KeyScope(row.scope), row.id)
        verification = _Verification(caller, self._until(began, row, moment))
        with self._lock:
            self._verified[_digest(session_id)] = verification
        return verification

    async def _require_keyless(self, credentials: Credentials) -> None:
        if not self._settings.is_on_loopback:
            raise Unauthorized("send a key: Authorization: Bearer fewbits_...")
        if credentials.is_forwarded:
            raise Unauthorized(
                "requests forwarded by a proxy need a key: create one with `fewbits keys create`"
            )
        if self._clock() < self._keyless_until:
            return
        if await run_in_threadpool(self._has_keys):
            raise Unauthorized(
                "send a key: Authorization: Bearer fewbits_... (this service has keys; `fewbits keys create` makes one)"
            )
        self._keyless_until = self._clock() + self._settings.key_cache.total_seconds()

    def _has_keys(self) -> bool:
        with self._database.reading() as session:
            return keys.exist(session)

    def _cached(self, token: Token) -> _Verification | None:
        with self._lock:
            return self._verified.get(token.digest)

    def _verify(self, token: Token | None, address: str) -> _Verification:
        """Verify a token and cache the result; RateLimited if the address has sent too many wrong ones."""
        cached = None if token is None else self._cached(token)
        if cached is None or cached.caller is None:  # keys in use are not held up by others' wrong ones
            self._refuse_blocked(address)
        verification = _Verification(None, 0.0) if token is None else self._look_up(token)
        if verification.caller is None and self._settings.requests_per_minute:
            self._count_failure(address)
        if token is not None:
            with self._lock:
                self._verified[token.digest] = verification
        return verification

    def _count_failure(self, address: str) -> None:
        state = self._buckets.consume(f"failures:{address}", MAX_FAILURES)
        if state.is_exceeded:
            with self._lock:
                self._blocked[address] = self._clock() + state.retry_s

    def _refuse_blocked(self, address: str) -> None:
        with self._lock:
            wait_s = self._blocked.get(address, -math.inf) - self._clock()
            if wait_s <= 0:
                self._blocked.pop(address, None)
                return
        detail = "too many wrong keys came from this address"
        raise RateLimited(detail, {"Retry-After": str(math.ceil(wait_s))})

    def _look_up(self, token: Token) -> _Verification:
        began = self._clock()
        with self._database.reading() as session:
            row, moment = session.get(ApiKey, token.key_id), database_now(session)
        with self._hashing:  # also for an id that does not exist: the time does not tell which do
            matches = tokens.matches(token.secret, _NO_SECRET if row is None else row.secret_hash)
        if row is None or not matches or not keys.is_valid(row, moment):
            return _Verification(None, self._until(began))
        if not keys.is_use_recorded(row):
            with self._database.transaction() as session:
                keys.record_use(session, row.id)
        caller = Caller(row.tenant, KeyScope(row.scope), row.id)
        return _Verification(caller, self._until(began, row, moment))

    def _until(self, began: float, row: ApiKey | None = None, moment: datetime | None = None) -> float:
        """Until when a verification is cached that began at a monotonic time, the `moment` of the database."""
        lifetime_s = self._settings.key_cache.total_seconds()
        if row is not None and row.expires_at is not None and moment is not None:
            lifetime_s = min(lifetime_s, (row.expires_at - moment).total_seconds())
        return began + lifetime_s


def _digest(session_id: str) -> bytes:
    """Under which a session is cached, beside keys: never that of a token."""
    return hashlib.sha256(b"session " + session_id.encode()).digest()
