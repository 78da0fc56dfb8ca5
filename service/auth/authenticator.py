"""From a request's key to its caller. A key that was verified is remembered for seconds: scrypt takes 40 ms."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi.concurrency import run_in_threadpool

from service.auth import keys, tokens
from service.auth.buckets import Buckets, LocalBuckets, Taken
from service.auth.scopes import OWNER, Caller, Scope
from service.auth.tokens import Token
from service.errors import RateLimited, Unauthorized
from service.settings import Settings
from service.store.key_models import ApiKey
from service.store.models import now
from service.store.session import Database

#: Wrong keys an address may send in a minute: each costs the service an scrypt.
MAX_FAILURES: Final = 30
_MAX_KNOWN: Final = 4096
_GUESSES_AT_ONCE: Final = 2  # 16 MiB and a core each


@dataclass(frozen=True, slots=True)
class _Known:
    """What was found of a token, and until when (monotonic seconds) that is believed."""

    caller: Caller | None
    expires_at: datetime | None
    until: float


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request brings: its key, where it comes from, and whether a proxy passed it on."""

    key: str | None
    address: str
    is_forwarded: bool = False


class Authenticator:
    """Tells callers by their keys. On loopback, as long as the database holds no key, everybody is the owner."""

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
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._lock = threading.Lock()
        self._guesses = threading.BoundedSemaphore(_GUESSES_AT_ONCE)
        self._guessers: dict[str, float] = {}
        self._keyless_until = -math.inf

    async def identify(self, presented: Presented) -> Caller:
        """The caller; Unauthorized if there is no key, or it is unknown, expired or revoked."""
        if presented.key is None:
            await self._require_keyless(presented)
            return OWNER
        token = tokens.parse(presented.key)
        known = None if token is None else self._remembered(token)
        if known is None:
            known = await run_in_threadpool(self._look_up, token, presented.address)
        if known.caller is None or (known.expires_at is not None and known.expires_at <= now()):
            raise Unauthorized("the key is unknown, has expired or was revoked")
        return known.caller

    async def limit(self, caller: Caller) -> Taken | None:
        """Count the request against the rate of the caller's key; None if that is not limited."""
        limit = self._settings.requests_per_minute
        if caller.key_id is None or not limit:
            return None
        if isinstance(self._buckets, LocalBuckets):  # a few microseconds: a thread would cost more
            return self._buckets.take(caller.key_id, limit)
        return await run_in_threadpool(self._buckets.take, caller.key_id, limit)

    async def _require_keyless(self, presented: Presented) -> None:
        if not self._settings.is_on_loopback:
            raise Unauthorized("send a key: Authorization: Bearer fewbits_...")
        if presented.is_forwarded:
            raise Unauthorized("what comes through a proxy needs a key: make one with `fewbits keys create`")
        if self._clock() < self._keyless_until:
            return
        if await run_in_threadpool(self._keys_exist):
            raise Unauthorized("send a key: Authorization: Bearer fewbits_... (this service has keys)")
        self._keyless_until = self._clock() + self._settings.key_cache.total_seconds()

    def _keys_exist(self) -> bool:
        with self._database.reading() as session:
            return keys.exist(session)

    def _remembered(self, token: Token) -> _Known | None:
        with self._lock:
            known = self._known.get(token.digest)
        return known if known is not None and known.until > self._clock() else None

    def _look_up(self, token: Token | None, address: str) -> _Known:
        if token is None or not self._was_good(token):  # keys in use are not held up by others' wrong ones
            self._refuse_guessers(address)
        known = self._verify(token) if token is not None else _Known(None, None, 0.0)
        if known.caller is None and self._settings.requests_per_minute:
            taken = self._buckets.take(f"failures:{address}", MAX_FAILURES)
            if taken.is_over:
                self._guessers[address] = self._clock() + taken.retry_s
        if token is not None:
            self._remember(token, known)
        return known

    def _refuse_guessers(self, address: str) -> None:
        wait_s = self._guessers.get(address, 0.0) - self._clock()
        if wait_s > 0:
            detail = "too many wrong keys came from this address"
            raise RateLimited(detail, {"Retry-After": str(math.ceil(wait_s))})
        self._guessers.pop(address, None)

    def _was_good(self, token: Token) -> bool:
        with self._lock:
            known = self._known.get(token.digest)
        return known is not None and known.caller is not None

    def _remember(self, token: Token, known: _Known) -> None:
        with self._lock:
            self._known[token.digest] = known
            self._known.move_to_end(token.digest)
            while len(self._known) > _MAX_KNOWN:
                self._known.popitem(last=False)

    def _verify(self, token: Token) -> _Known:
        until = self._clock() + self._settings.key_cache.total_seconds()
        with self._database.reading() as session:
            row = session.get(ApiKey, token.key_id)
        if row is None or not keys.is_good(row, now()):
            return _Known(None, None, until)
        with self._guesses:
            if not tokens.matches(token.secret, row.secret_hash):
                return _Known(None, None, until)
        if not keys.was_used_lately(row):
            with self._database.transaction() as session:
                keys.note_use(session, row.id)
        return _Known(Caller(row.tenant, Scope(row.scope), row.id), row.expires_at, until)
