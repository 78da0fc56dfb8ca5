"""A shift: what a message asks for, and then at once what that led to, without waiting for the next message.

A message only wakes; rows say what is to be done. So a process that has ended a trial brings its job on itself and
takes the next queued trial. Messages go out for what others could do meanwhile, and for what is left when the shift
ends.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from typing import Final

from service.queue import Queue, TaskName
from service.store import workers
from worker import final_report, tasks
from worker.advance import advance_job
from worker.runtime import Runtime

#: How long a process goes on with what it finds itself, before other messages have their turn.
SHIFT_S: Final = 10.0

#: Names no trial: whichever is the oldest.
_ANY: Final = 0

#: What a shift does itself.
_OWN: Final = frozenset({TaskName.ADVANCE_JOB, TaskName.RUN_TRIAL, TaskName.FINALIZE_JOB})

Message = tuple[TaskName, tuple[str | int, ...]]


def work(runtime: Runtime, task: TaskName, *ids: str | int) -> None:
    """Do what a message about a job or trial asks for, and go on with what that led to, until nothing is left or the
    shift is over.
    """
    end = time.monotonic() + SHIFT_S
    with runtime.database.transaction(lasting=False) as session:
        workers.seen(session, runtime.worker)
    own = _OwnQueue(runtime.queue)
    inside = replace(runtime, queue=own)
    try:
        goes_on = _do(inside, task, *ids)
        while goes_on and time.monotonic() < end:
            message = own.next()
            goes_on = (
                tasks.run_trial(inside, _ANY) if message is None else _do(inside, message[0], *message[1])
            )
    finally:
        own.hand_over()


def _do(runtime: Runtime, task: TaskName, *ids: str | int) -> bool:
    """Do one message; whether to go on after it."""
    if task is TaskName.RUN_TRIAL:
        return tasks.run_trial(runtime, int(ids[0]))
    if task is TaskName.ADVANCE_JOB:
        advance_job(runtime, str(ids[0]))
    else:
        final_report.finalize_job(runtime, str(ids[0]))
    return True


class _OwnQueue(Queue):
    """Keeps what a shift's own work asks for. Of several new trials it keeps one, and sends for the others."""

    def __init__(self, outside: Queue) -> None:
        self._outside = outside
        self._kept: deque[Message] = deque()

    def send(self, task: TaskName, *ids: str | int) -> bool:
        """Keep the message, or send it to whoever is free."""
        message = (task, ids)
        if message in self._kept:
            return True
        enough = task is TaskName.RUN_TRIAL and any(kept is task for kept, _ in self._kept)
        if enough or task not in _OWN:
            return self._outside.send(task, *ids)
        self._kept.append(message)
        return True

    def next(self) -> Message | None:
        """What to do next. A trial is any trial: an older one may be waiting."""
        if not self._kept:
            return None
        task, ids = self._kept.popleft()
        return (task, (_ANY,)) if task is TaskName.RUN_TRIAL else (task, ids)

    def hand_over(self) -> None:
        """Send what was not done."""
        while self._kept:
            task, ids = self._kept.popleft()
            self._outside.send(task, *ids)
