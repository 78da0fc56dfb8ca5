"""The loop of one message: what the message asks for, then what follows from it, without waiting for the next message.

A message only wakes; rows say what is to be done. So a process that has ended a trial advances its job itself and
claims the next queued trial. Messages are sent for work that other processes can do meanwhile, and for what is left
when the loop ends.
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

#: Seconds a process goes on with work that follows from its message, before other messages have their turn.
LOOP_S: Final = 10.0

#: The id of no trial: the oldest one is claimed.
_ANY: Final = 0

#: Tasks that the loop itself does; messages of others are sent.
_LOCAL: Final = frozenset({TaskName.ADVANCE_JOB, TaskName.RUN_TRIAL, TaskName.WRITE_REPORT})

Message = tuple[TaskName, tuple[str | int, ...]]


def run(runtime: Runtime, task: TaskName, *ids: str | int) -> None:
    """Do what a message about a job or trial asks for, and go on with what follows, until nothing is left or the time
    of the loop is over.
    """
    end = time.monotonic() + LOOP_S
    with runtime.database.transaction(durable=False) as session:
        workers.heartbeat(session, runtime.worker)
    queue = _LocalQueue(runtime.queue)
    inside = replace(runtime, queue=queue)
    try:
        goes_on = _do(inside, task, *ids)
        while goes_on and time.monotonic() < end:
            next_task, next_ids = queue.next() or (TaskName.RUN_TRIAL, (_ANY,))
            goes_on = _do(inside, next_task, *next_ids)
    finally:
        queue.hand_over()


def _do(runtime: Runtime, task: TaskName, *ids: str | int) -> bool:
    """Do one message; whether to go on after it."""
    runtime.on_step()
    if task is TaskName.RUN_TRIAL:
        return tasks.run_trial(runtime, int(ids[0]))
    if task is TaskName.ADVANCE_JOB:
        advance_job(runtime, str(ids[0]))
    else:
        final_report.write_report(runtime, str(ids[0]))
    return True


class _LocalQueue(Queue):
    """Keeps the messages of the loop's own work. Of several new trials it keeps one, and sends the others."""

    def __init__(self, outside: Queue) -> None:
        self._outside = outside
        self._messages: deque[Message] = deque()

    def send(self, task: TaskName, *ids: str | int) -> bool:
        """Keep the message, or send it to whichever process is free."""
        message = (task, ids)
        if message in self._messages:
            return True
        has_trial = any(waiting is TaskName.RUN_TRIAL for waiting, _ in self._messages)
        if task not in _LOCAL or (task is TaskName.RUN_TRIAL and has_trial):
            return self._outside.send(task, *ids)
        self._messages.append(message)
        return True

    def next(self) -> Message | None:
        """What to do next. A trial is any trial: an older one may be waiting."""
        if not self._messages:
            return None
        task, ids = self._messages.popleft()
        return (task, (_ANY,)) if task is TaskName.RUN_TRIAL else (task, ids)

    def hand_over(self) -> None:
        """Send what was not done."""
        while self._messages:
            task, ids = self._messages.popleft()
            self._outside.send(task, *ids)
