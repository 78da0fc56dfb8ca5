"""Rate limits: a token bucket for each name, in this process or, where several processes serve, in Redis."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from cachetools import LRUCache

log = logging.getLogger(__name__)

#: Seconds after which an empty bucket is full again.
WINDOW_S: Final = 60
_MAX_BUCKETS: Final = 10_000


@dataclass(frozen=True, slots=True)
class RateState:
    """A bucket after a request: tokens that remain, seconds until it is full, and until the next request may come."""

    limit: int
    remaining: int
    reset_s: int
    retry_s: int = 0

    @property
    def is_exceeded(self) -> bool:
        """True if there was no token for the request."""
        return self.retry_s > 0

    @property
    def headers(self) -> dict[str, str]:
        """The state as headers (draft-ietf-httpapi-ratelimit-headers-07)."""
        headers = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_s),
            "RateLimit-Policy": f"{self.limit};w={WINDOW_S}",
        }
        return headers | {"Retry-After": str(self.retry_s)} if self.is_exceeded else headers


class Buckets(Protocol):
    """A token bucket for each name."""

    def consume(self, name: str, limit: int) -> RateState:
        """Remove a token from the bucket of `name`, which holds `limit` and refills in `WINDOW_S`."""
        ...

    def close(self) -> None:
        """Close connections, if any."""
        ...


def _state(limit: int, remaining: float) -> RateState:
    """The state for an exact number of tokens that remain; it is negative where there was less than one."""
    if remaining < 0:
        return RateState(
            limit, 0, _refill_s(limit - remaining - 1, limit), max(1, _refill_s(-remaining, limit))
        )
    return RateState(limit, math.floor(remaining), _refill_s(limit - remaining, limit))


def _refill_s(tokens: float, limit: int) -> int:
    """Whole seconds in which `tokens` are added; a rounding error does not add a second."""
    return math.ceil(tokens * WINDOW_S / limit - 1e-6)


class LocalBuckets:
    """Buckets of this process; the least recently used one is dropped where there are too many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(_MAX_BUCKETS)  # tokens, at which moment
        self._lock = threading.Lock()

    def consume(self, name: str, limit: int) -> RateState:
        """Remove a token from the bucket of `name`, which holds `limit` and refills in `WINDOW_S`."""
        with self._lock:
            moment = self._clock()
            before, filled_at = self._buckets.get(name, (float(limit), moment))
            tokens = min(float(limit), before + (moment - filled_at) * limit / WINDOW_S)
            remaining = tokens - 1
            self._buckets[name] = (tokens if remaining < 0 else remaining, moment)
        return _state(limit, remaining)

    def close(self) -> None:
        """Nothing to close."""


_SCRIPT: Final = """
local now = redis.call('TIME')
local moment = tonumber(now[1]) + tonumber(now[2]) / 1000000
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local bucket = redis.call('HMGET', KEYS[1], 'full', 'at')
local tokens, at = tonumber(bucket[1]) or limit, tonumber(bucket[2]) or moment
tokens = math.min(limit, tokens + math.max(0, moment - at) * limit / window)
local remaining = tokens - 1
redis.call('HSET', KEYS[1], 'full', tostring(remaining < 0 and tokens or remaining), 'at', tostring(moment))
redis.call('EXPIRE', KEYS[1], window)
return tostring(remaining)
"""


#: Seconds without limits after Redis did not respond.
_AWAY_S: Final = 5.0


class RedisBuckets:
    """Buckets that all processes on one Redis share. While Redis does not respond, no request is refused."""

    def __init__(self, url: str, namespace: str) -> None:
        import redis  # a service without one starts sooner

        self._error = redis.RedisError
        options: Any = {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": None}
        self._redis = redis.Redis.from_url(url, **options)
        self._namespace = namespace
        self._away_until_s = 0.0  #: not every request is to wait for a server that does not respond
        self._script: Any = self._redis.register_script(_SCRIPT)

    def consume(self, name: str, limit: int) -> RateState:
        """Remove a token from the bucket of `name`, which holds `limit` and refills in `WINDOW_S`."""
        if time.monotonic() < self._away_until_s:
            return _state(limit, limit - 1.0)
        try:
            remaining = float(self._script(keys=[f"{self._namespace}:rate:{name}"], args=[limit, WINDOW_S]))
        except self._error:
            self._away_until_s = time.monotonic() + _AWAY_S
            log.warning("Redis does not respond: rates are not limited")
            remaining = limit - 1.0
        return _state(limit, remaining)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def make_buckets(broker_url: str, namespace: str) -> Buckets:
    """Buckets in Redis where that is the broker, under names that begin with `namespace`; else in this process."""
    return (
        RedisBuckets(broker_url, namespace)
        if broker_url.startswith(("redis://", "rediss://"))
        else LocalBuckets()
    )
