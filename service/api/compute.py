"""Requests that compute for long take turns, in processes with limits: the others never notice.

Python runs one thread at a time, and what a request computes grows with what it describes. So it is computed in one of
a few processes, each watched and ended past its share of time or memory. A request waits here for its turn, a limited
number of a tenant's requests at a time. What is computed is in `computing.py`.
"""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Final

import anyio
from fastapi import Depends, Request

from service.api.computing import COMPUTATIONS, Computer
from service.api.deps import BlobsDep, CallerDep, DatabaseDep
from service.errors import ServiceError, TooLarge, Unavailable, from_document
from service.processes.limited import (
    ExceededCpu,
    ExceededMemory,
    LimitedProcess,
    ProcessDied,
    ProcessEnded,
    Template,
)
from service.processes.limits import Limits
from service.settings import Settings

#: What is loaded and forked.
MODULE: Final = "service.api.computing"

#: Requests of one tenant that may compute or wait.
MAX_OF_TENANT: Final = 16
#: Requests of all tenants that may compute or wait.
MAX_OF_ALL: Final = 64
#: Seconds that a request waits for its turn.
PATIENCE_S: Final = 30.0

_RETRY: Final = {"Retry-After": "5"}
#: A process may wait for the database, or for a core, this many times as long as it may compute; at least so long.
_WALL, _WALL_S = 10, 120.0


# --- turns -----------------------------------------------------------------------------------------------------------


class ComputeSlots:
    """The turns of requests that compute. One per process; used in its event loop only."""

    def __init__(self, slots: int = 2, patience_s: float = PATIENCE_S) -> None:
        self._slots = anyio.Semaphore(slots)
        self._patience_s = patience_s
        self._present: Counter[str] = Counter()

    @contextlib.contextmanager
    def entered(self, tenant: str) -> Iterator[None]:
        """A place among those that compute or wait, while a body arrives too. Unavailable if there are too many."""
        if self._present[tenant] >= MAX_OF_TENANT or self._present.total() >= MAX_OF_ALL:
            raise Unavailable("too many requests that price networks are waiting", _RETRY)
        self._present[tenant] += 1
        try:
            yield
        finally:
            self._present[tenant] -= 1
            if not self._present[tenant]:
                del self._present[tenant]

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a slot. Unavailable if none is free in time."""
        if self._slots.value:
            self._slots.acquire_nowait()
        else:
            try:
                with anyio.fail_after(self._patience_s):
                    await self._slots.acquire()
            except TimeoutError:
                raise Unavailable("the service is busy with pricing other networks", _RETRY) from None
        try:
            yield
        finally:
            self._slots.release()


async def _turn(request: Request, caller: CallerDep) -> AsyncIterator[None]:
    slots: ComputeSlots = request.app.state.compute_slots
    with slots.entered(caller.tenant):
        await request.body()  # it may arrive slowly: nobody waits for it
        async with slots.turn():
            yield


#: For `dependencies=` of a route that computes.
COMPUTES: Final[Any] = Depends(_turn, scope="function")


# --- processes -------------------------------------------------------------------------------------------------------


class ComputeProcesses:
    """The processes that compute, forked when they are needed. For threads: each takes one that is idle."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._template = Template(MODULE) if settings.compute_processes else None
        self._limits = Limits(
            memory_bytes=settings.request_memory_mb << 20,
            cpu_s=settings.request_cpu.total_seconds(),
            wall_s=max(_WALL * settings.request_cpu.total_seconds(), _WALL_S),
        )
        self._idle: deque[LimitedProcess] = deque()

    def start(self) -> None:
        """Load what is computed with, without waiting for it."""
        if self._template is not None:
            self._template.start()

    def close(self) -> None:
        """End the processes."""
        if self._template is not None:
            self._template.close()

    def run(self, computer: Computer, tenant: str, name: str, body: bytes, **arguments: Any) -> bytes:
        """What a computation yields. TooLarge past the limits of a request, Unavailable if its process died or waited
        too long; and what the computation raises.
        """
        if self._template is None:
            return COMPUTATIONS[name](computer, body, **arguments)
        try:
            process = self._taken(self._template)
            process.send({"name": name, "arguments": arguments, "tenant": tenant}, body)
            head, answer = process.receive()
        except ProcessEnded as end:
            raise _refusal(end) from None
        if head.get("memory") or process.memory_bytes > self._limits.memory_bytes // 2:  # type: ignore[operator]
            process.end()
        else:
            self._idle.append(process)
        if head.get("memory"):
            raise _refusal(ExceededMemory(f"may use {self._settings.request_memory_mb} MB of memory"))
        if head.get("failed"):
            raise ServiceError("an error in the service; its log has the details")
        if "error" in head:
            raise from_document(head["error"])
        return answer

    def _taken(self, template: Template) -> LimitedProcess:
        """An idle process that lives, or a new one."""
        while self._idle:
            process = self._idle.pop()
            if process.memory_bytes:
                return process
            process.end()
        process = template.fork(self._limits)
        process.send({"settings": self._settings.model_dump(mode="json")})
        return process


def _refusal(end: ProcessEnded) -> ServiceError:
    if isinstance(end, ExceededMemory | ExceededCpu):
        return TooLarge(f"the request is too large to be computed: it {end}; describe a smaller network")
    if isinstance(end, ProcessDied):
        return Unavailable("the process that computed the answer has ended", _RETRY)
    return Unavailable("the answer took too long to be computed", _RETRY)


class Compute:
    """The computations of one caller."""

    def __init__(self, processes: ComputeProcesses, computer: Computer, tenant: str) -> None:
        self._processes, self._computer, self._tenant = processes, computer, tenant

    def __call__(self, name: str, body: bytes, **arguments: Any) -> bytes:
        """What a computation yields, as JSON; raises what `ComputeProcesses.run` raises."""
        return self._processes.run(self._computer, self._tenant, name, body, **arguments)


async def _compute(request: Request, caller: CallerDep, database: DatabaseDep, blobs: BlobsDep) -> Compute:
    computer = Computer(request.app.state.settings, database, blobs)
    return Compute(request.app.state.compute, computer, caller.tenant)


#: Computes for the caller; the route must have `COMPUTES`, too.
ComputeDep = Annotated[Compute, Depends(_compute)]
