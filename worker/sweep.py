"""The sweep: returns what dead workers had claimed to the queue, resends messages that may be lost, tidies up.

Every worker's parent process runs it in a thread (`Sweeper`), which trains nothing and waits behind nothing: however
busy the workers are, the dead are noticed. Of all workers one at a time has the turn (`service.store.sweeps`).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from search.history import AttemptOutcome, JobStatus
from service.queue import TaskName
from service.store import capacity, claims, deferred_deletes, events, idempotency, jobs, sweeps, workers
from service.store.leases import Watch
from service.store.session import database_now, is_retryable, reason_of
from worker import export, final_training, uploads
from worker.identity import is_surely_dead
from worker.runtime import Runtime
from worker.scratch import remove_abandoned

log = logging.getLogger(__name__)

#: The task that advances a job in this status; of others it is ADVANCE_JOB.
_NEXT_TASK: Final = {JobStatus.FINALIZING: TaskName.WRITE_REPORT}

#: Seconds that a fork waits for a sweep, so that no child is born in the middle of one.
_FORK_S: Final = 5.0


def sweep(runtime: Runtime, watch: Watch | None = None) -> None:
    """Look after everything once; `watch`: what silence tells, by default that a worker is dead.

    Each part is a separate transaction: none waits for rows while it has locked others.
    """
    database, queue, settings = runtime.database, runtime.queue, runtime.settings
    watch = watch or Watch(is_surely_dead)
    with database.transaction() as session:
        workers.heartbeat(session, runtime.worker)
    _requeue_trials(runtime, watch)
    final_training.sweep(runtime, watch)
    export.sweep(runtime, watch)
    with database.transaction() as session:
        for trial_id in claims.resend(session, database_now(session) - settings.resend):
            queue.enqueue(TaskName.RUN_TRIAL, trial_id)
    with database.transaction() as session:
        for job_id, status in jobs.stalled(session, database_now(session) - settings.resend, watch):
            queue.enqueue(_NEXT_TASK.get(status, TaskName.ADVANCE_JOB), job_id)
    with database.transaction() as session:
        moment = database_now(session)
        idempotency.prune(session, moment - settings.idempotency)
        events.prune(session, moment - settings.events)
        deferred_deletes.remove(session, runtime.blobs, moment - settings.discard)
    uploads.sweep(runtime)
    remove_abandoned()


def _requeue_trials(runtime: Runtime, watch: Watch) -> None:
    with runtime.database.reading() as session:
        expired = claims.expired(session, watch)
    for claim, counts in expired:
        with runtime.database.transaction() as session:
            claims.release(
                session,
                claim,
                "the worker died" if counts else "its lease expired while the service was not in order",
                max_attempts=runtime.settings.max_attempts,
                outcome=AttemptOutcome.LOST,
                counts=counts,
            )
            runtime.queue.enqueue(TaskName.RUN_TRIAL, claim.trial_id)
            runtime.queue.enqueue(TaskName.ADVANCE_JOB, claim.job_id)


def sweep_in_turn(runtime: Runtime) -> bool:
    """Report as alive, and sweep if it is this worker's turn; whether it was."""
    settings = runtime.settings
    with runtime.database.transaction(durable=False) as session:
        workers.heartbeat(session, runtime.worker)
        if runtime.capacity is not None:
            capacity.declare(session, runtime.worker, runtime.capacity)
        has_turn = sweeps.begin(session, worker=runtime.worker, interval=settings.sweep)
    if has_turn:
        sweep_now(runtime)
    return has_turn


def sweep_now(runtime: Runtime) -> None:
    """Sweep, whoever's turn it is: a claim is given up once, however many sweep."""
    with runtime.database.reading() as session:
        calm_since, by_time = sweeps.calm(session, runtime.settings.heartbeat)
    sweep(runtime, Watch(is_surely_dead, by_time, calm_since))
    with runtime.database.transaction(durable=False) as session:
        sweeps.end(session)


class Sweeper:
    """Sweeps in a thread, inside its `with` block. Whatever goes wrong is logged, and tried again at the next turn."""

    def __init__(self, make_runtime: Callable[[], Runtime]) -> None:
        self._make_runtime = make_runtime
        self._done = threading.Event()
        self._busy = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def __enter__(self) -> Self:
        # A pool replaces its processes by forks of this one: a child must not inherit a sweep, nor its connections.
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._forget
        )
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join(_FORK_S)

    def wait(self) -> None:
        """Return when the sweeper is told to end."""
        self._done.wait()

    def stop(self) -> None:
        """End after the current sweep."""
        self._done.set()

    def _before_fork(self) -> None:
        self._has_paused = self._busy.acquire(timeout=_FORK_S)

    def _after_fork(self) -> None:
        if self._has_paused:
            self._busy.release()

    def _forget(self) -> None:
        self._busy = threading.Lock()

    def _run(self) -> None:
        runtime = self._make_runtime()
        interval_s = runtime.settings.sweep.total_seconds()
        while True:
            with self._busy:
                _try(runtime)
            if self._done.wait(interval_s):
                return


def _try(runtime: Runtime) -> None:
    try:
        sweep_in_turn(runtime)
    except Exception as error:  # the next sweep may be well
        log.warning("the sweep failed: %s", reason_of(error), exc_info=not is_retryable(error))
