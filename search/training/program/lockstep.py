"""Runs trials in lockstep threads, so that identical computations are done once.

Each trial has a thread, but only one thread moves at any moment: building a model draws from random states that belong
to the whole process. A thread waits where it requests a computation; when all of them wait, the computations are done,
those with equal keys in one call. Plain Python: nothing here loads Keras.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Hashable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

#: The arguments of several computations -> their results, in order.
Compute = Callable[[Sequence[Any]], Sequence[Any]]

_lockstep: ContextVar[Lockstep | None] = ContextVar("lockstep", default=None)


def coalesced(key: Hashable, compute: Compute, argument: Any) -> Any:
    """The result of `compute` for this argument: in one call with requests under the same key by other threads.

    Calls with equal keys must have the same `compute`. Outside `run_in_lockstep` it is computed alone, at once.
    """
    lockstep = _lockstep.get()
    if lockstep is None:
        [result] = compute([argument])
        return result
    return lockstep.join(_Request(key, compute, argument))


def run_in_lockstep(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """What these jobs return, in order. The error of the first that fails is raised when all have ended."""
    if len(jobs) == 1:
        return [jobs[0]()]
    lockstep = Lockstep(len(jobs))
    threads = [_JobThread(lockstep, job, index) for index, job in enumerate(jobs)]
    for job_thread in threads:
        job_thread.thread.start()
    for job_thread in threads:
        job_thread.thread.join()
    return [job_thread.result() for job_thread in threads]


@dataclass(eq=False)
class _Request:
    """A requested computation and its outcome."""

    key: Hashable
    compute: Compute
    argument: Any
    result: Any = None
    error: Exception | None = None
    done: bool = False


class Lockstep:
    """Threads of which one moves at a time, and whose computations are done together."""

    def __init__(self, size: int) -> None:
        self._size = self._active = size
        self._requests: list[_Request] = []
        self.turn = threading.Condition()  #: held by the thread that moves

    def join(self, request: _Request) -> Any:
        """Wait until the request is computed, and return its result. The thread must hold the turn, also afterwards."""
        self._requests.append(request)
        self._compute_if_all_wait()
        while not request.done:
            self.turn.wait()
        if request.error is not None:
            raise request.error
        return request.result

    def leave(self) -> None:
        """A thread has ended: the others need not wait for it."""
        self._active -= 1
        self._compute_if_all_wait()

    def _compute_if_all_wait(self) -> None:
        if not self._requests or len(self._requests) < self._active:
            return
        requests, self._requests = self._requests, []
        by_key: dict[Hashable, list[_Request]] = {}
        for request in requests:
            by_key.setdefault(request.key, []).append(request)
        for group in by_key.values():
            self._compute(group)
        self.turn.notify_all()

    def _compute(self, requests: Sequence[_Request]) -> None:
        """Compute requests in one call; if that fails, each by itself, so that no trial fails by another's error.

        The computation is compiled for a number of arguments: where some have left, the first one fills their places.
        """
        arguments = [request.argument for request in requests]
        filled = [*arguments, *arguments[:1] * (self._size - len(arguments))]
        try:
            for request, result in zip(requests, requests[0].compute(filled), strict=False):
                request.result, request.done = result, True
        except Exception as error:
            if len(requests) > 1:
                for request in requests:
                    self._compute([request])
            else:
                requests[0].error, requests[0].done = error, True


class _JobThread(Generic[T]):
    """The thread of a job; what the job logs and sends belongs to the context in which this was created."""

    def __init__(self, lockstep: Lockstep, job: Callable[[], T], index: int) -> None:
        self._lockstep, self._job = lockstep, job
        self._results: list[T] = []
        self._error: BaseException | None = None
        run = contextvars.copy_context().run
        self.thread = threading.Thread(target=run, args=(self._run,), name=f"trial-{index}")

    def result(self) -> T:
        """What the job returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _run(self) -> None:
        _lockstep.set(self._lockstep)
        with self._lockstep.turn:
            try:
                self._results.append(self._job())
            except BaseException as error:
                self._error = error
            finally:
                self._lockstep.leave()
