"""When a request is retried, and after what pause."""

from __future__ import annotations

import random
from dataclasses import dataclass

import httpx

from service.client.calls import Call
from service.client.errors import IN_USE, ClientError, NotReady, Refused, TooMany, Unreachable


@dataclass(frozen=True, slots=True)
class Retry:
    """Up to `attempts` requests in all. Pauses double from `first_s` to `longest_s`; each is drawn at random from
    the upper half of its range, so that many clients do not retry at the same time.

    Retried are requests that did not reach the service, and the answers 429, 502, 503 and 504; Retry-After is honored
    up to `longest_s`. A request that may have been carried out is retried only if it is safe to repeat.
    """

    attempts: int = 4
    first_s: float = 0.25
    longest_s: float = 10.0

    def pause_s(self, call: Call[object], error: ClientError, attempt: int) -> float | None:
        """Seconds to wait before the next attempt; None to give up. `attempt` counts from 1."""
        if attempt >= self.attempts or not call.is_retried or not _passes(call, error):
            return None
        retry_after_s = error.retry_after_s if isinstance(error, Refused) else None
        if retry_after_s is not None:
            return retry_after_s if retry_after_s <= self.longest_s else None
        return min(self.first_s * 2.0 ** (attempt - 1), self.longest_s) * random.uniform(0.5, 1.0)


#: No retries.
NEVER = Retry(attempts=1)


def _passes(call: Call[object], error: ClientError) -> bool:
    if isinstance(error, Unreachable):
        never_sent = isinstance(
            error.__cause__, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
        )
        return never_sent or (call.is_repeatable and isinstance(error.__cause__, httpx.TransportError))
    if isinstance(error, TooMany):
        return True
    if isinstance(error, NotReady):
        return call.is_repeatable or error.problem.status == 503
    return isinstance(error, Refused) and error.problem.type == IN_USE
