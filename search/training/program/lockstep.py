"""Trials that run at once in one process, so that what they compute can be computed together.

Each has a thread, but only one thread moves at any moment: building a model draws from random states that belong to the
whole process. A thread rests where it asks for a computation; when all of them rest, the computations are done, those
with equal keys in one go. Plain; nothing loads Keras.
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

_company: ContextVar[Company | None] = ContextVar("company", default=None)


def computed(key: Hashable, compute: Compute, argument: Any) -> Any:
    """The result of `compute` for this argument: with the others that ask under the same key, alone where none do.

    Calls with equal keys must have the same `compute`.
    """
    company = _company.get()
    if company is None:
        [found] = compute([argument])
        return found
    return company.meet(_Call(key, compute, argument))


def side_by_side(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """What these jobs return, in order; they run at once. The error of the first that fails is raised at the end."""
    if len(jobs) == 1:
        return [jobs[0]()]
    company = Company(len(jobs))
    members = [_Member(company, job, index) for index, job in enumerate(jobs)]
    for member in members:
        member.thread.start()
    for member in members:
        member.thread.join()
    return [member.result() for member in members]


@dataclass(eq=False)
class _Call:
    """A computation asked for, and what came of it."""

    key: Hashable
    compute: Compute
    argument: Any
    found: Any = None
    error: Exception | None = None
    done: bool = False


class Company:
    """Threads of which one moves at a time, and which compute together."""

    def __init__(self, size: int) -> None:
        self._size = self._active = size
        self._asked: list[_Call] = []
        self.turn = threading.Condition()  #: held by the thread that moves

    def meet(self, call: _Call) -> Any:
        """Rest until the call is computed; its result. The thread must have the turn, and has it again afterwards."""
        self._asked.append(call)
        self._compute_if_all_rest()
        while not call.done:
            self.turn.wait()
        if call.error is not None:
            raise call.error
        return call.found

    def leave(self) -> None:
        """Say that a thread has ended: the others need not wait for it."""
        self._active -= 1
        self._compute_if_all_rest()

    def _compute_if_all_rest(self) -> None:
        if not self._asked or len(self._asked) < self._active:
            return
        asked, self._asked = self._asked, []
        alike: dict[Hashable, list[_Call]] = {}
        for call in asked:
            alike.setdefault(call.key, []).append(call)
        for calls in alike.values():
            self._compute(calls)
        self.turn.notify_all()

    def _compute(self, calls: Sequence[_Call]) -> None:
        """Compute calls together; if that fails, each by itself, so that none fails by another's fault.

        What computes is compiled for a number of arguments: where some have left, the first one fills their places.
        """
        arguments = [call.argument for call in calls]
        filled = [*arguments, *arguments[:1] * (self._size - len(arguments))]
        try:
            for call, found in zip(calls, calls[0].compute(filled), strict=False):
                call.found, call.done = found, True
        except Exception as error:
            if len(calls) > 1:
                for call in calls:
                    self._compute([call])
            else:
                calls[0].error, calls[0].done = error, True


class _Member(Generic[T]):
    """One thread of a company; what its job logs and sends belongs to the context it was made in."""

    def __init__(self, company: Company, job: Callable[[], T], index: int) -> None:
        self._company, self._job = company, job
        self._found: list[T] = []
        self._error: BaseException | None = None
        run = contextvars.copy_context().run
        self.thread = threading.Thread(target=run, args=(self._run,), name=f"trial-{index}")

    def result(self) -> T:
        """What the job returned; raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._found[0]

    def _run(self) -> None:
        _company.set(self._company)
        with self._company.turn:
            try:
                self._found.append(self._job())
            except BaseException as error:
                self._error = error
            finally:
                self._company.leave()
