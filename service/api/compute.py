"""Requests that compute for long take turns: the others never notice.

Python runs one thread at a time. Two threads that price networks slow the event loop by milliseconds, forty by seconds:
what prices a network waits here for one of a few slots, a limited number of a tenant's requests at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import anyio
from fastapi import Depends, Request

from service.api.deps import CallerDep
from service.errors import Unavailable

#: Requests that compute at once.
SLOTS: Final = 2
#: Requests of one tenant that may compute or wait.
MAX_OF_TENANT: Final = 16
#: Requests of all tenants that may compute or wait.
MAX_OF_ALL: Final = 64
#: Seconds that a request waits for its turn.
PATIENCE_S: Final = 30.0

_RETRY: Final = {"Retry-After": "5"}


class ComputeSlots:
    """The turns of requests that compute. One per process; used in its event loop only."""

    def __init__(self, slots: int = SLOTS, patience_s: float = PATIENCE_S) -> None:
        self._slots = anyio.Semaphore(slots)
        self._patience_s = patience_s
        self._present: Counter[str] = Counter()

    async def turn(self, tenant: str) -> Callable[[], None]:
        """Wait for a slot; the result gives it back. Unavailable if too many wait, or nothing is free in time."""
        if self._present[tenant] >= MAX_OF_TENANT or self._present.total() >= MAX_OF_ALL:
            raise Unavailable("too many requests that price networks are waiting", _RETRY)
        self._present[tenant] += 1
        try:
            if self._slots.value:
                self._slots.acquire_nowait()
            else:
                with anyio.fail_after(self._patience_s):
                    await self._slots.acquire()
        except BaseException as error:
            self._leave(tenant)
            if isinstance(error, TimeoutError):
                raise Unavailable("the service is busy with pricing other networks", _RETRY) from None
            raise

        def give_back() -> None:
            self._slots.release()
            self._leave(tenant)

        return give_back

    def _leave(self, tenant: str) -> None:
        self._present[tenant] -= 1
        if not self._present[tenant]:
            del self._present[tenant]


async def _turn(request: Request, caller: CallerDep) -> AsyncIterator[None]:
    slots: ComputeSlots = request.app.state.compute
    give_back = await slots.turn(caller.tenant)
    try:
        yield
    finally:
        give_back()


#: For `dependencies=` of a route that prices networks. The body is parsed within the turn.
COMPUTES: Final[Any] = Depends(_turn, scope="function")
