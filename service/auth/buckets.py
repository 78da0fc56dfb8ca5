"""Rates: a token bucket for each name, in this process or, where several processes serve, in Redis."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

log = logging.getLogger(__name__)

#: Seconds after which a bucket is full again, whatever was taken.
WINDOW_S: Final = 60
_MAX_BUCKETS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Taken:
    """What taking from a bucket gave. `is_over`: nothing was left; one comes back after `retry_s`."""

    limit: int
    remaining: int
    reset_s: int
    retry_s: int = 0

    @property
    def is_over(self) -> bool:
        """True if the request must wait."""
        return self.retry_s > 0

    @property
    def headers(self) -> dict[str, str]:
        """The state as headers (draft-ietf-httpapi-ratelimit-headers-07)."""
        told = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset_s),
            "RateLimit-Policy": f"{self.limit};w={WINDOW_S}",
        }
        return told | {"Retry-After": str(self.retry_s)} if self.is_over else told


class Buckets(Protocol):
    """A bucket for each name."""

    def take(self, name: str, limit: int) -> Taken:
        """Take one of the `limit` a minute that `name` may have."""
        ...

    def close(self) -> None:
        """Close connections, if any."""
        ...


def _taken(limit: int, left: float) -> Taken:
    """`left` is what would be left: negative where there was less than one."""
    if left < 0:
        return Taken(limit, 0, _seconds(limit - left - 1, limit), max(1, _seconds(-left, limit)))
    return Taken(limit, math.floor(left), _seconds(limit - left, limit))


def _seconds(count: float, limit: int) -> int:
    """Whole seconds until so many are back; rounding errors do not make one more."""
    return math.ceil(count * WINDOW_S / limit - 1e-6)


class LocalBuckets:
    """Buckets of this process; those not used for long are forgotten."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str, limit: int) -> Taken:
        """Take one of the `limit` a minute that `name` may have."""
        with self._lock:
            moment = self._clock()
            before, filled_at = self._kept.pop(name, (float(limit), moment))
            full = min(float(limit), before + (moment - filled_at) * limit / WINDOW_S)
            left = full - 1
            self._kept[name] = (full if left < 0 else left, moment)
            while len(self._kept) > _MAX_BUCKETS:
                self._kept.popitem(last=False)
        return _taken(limit, left)

    def close(self) -> None:
        """Nothing to close."""


_SCRIPT: Final = """
local now = redis.call('TIME')
local moment = tonumber(now[1]) + tonumber(now[2]) / 1000000
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local kept = redis.call('HMGET', KEYS[1], 'full', 'at')
local full, at = tonumber(kept[1]) or limit, tonumber(kept[2]) or moment
full = math.min(limit, full + math.max(0, moment - at) * limit / window)
local left = full - 1
redis.call('HSET', KEYS[1], 'full', tostring(left < 0 and full or left), 'at', tostring(moment))
redis.call('EXPIRE', KEYS[1], window)
return tostring(left)
"""


class RedisBuckets:
    """Buckets that all processes on one Redis share. A Redis that does not answer refuses nobody."""

    def __init__(self, url: str) -> None:
        import redis  # a service without one starts sooner

        self._error = redis.RedisError
        self._redis = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
        self._script: Any = self._redis.register_script(_SCRIPT)

    def take(self, name: str, limit: int) -> Taken:
        """Take one of the `limit` a minute that `name` may have."""
        try:
            left = float(self._script(keys=[f"fewbits:rate:{name}"], args=[limit, WINDOW_S]))
        except self._error:
            log.warning("Redis does not answer: rates are not limited")
            left = limit - 1.0
        return _taken(limit, left)

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def buckets(broker_url: str) -> Buckets:
    """In Redis where that is the broker, else in this process."""
    return RedisBuckets(broker_url) if broker_url.startswith(("redis://", "rediss://")) else LocalBuckets()
