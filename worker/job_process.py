"""What runs in the process of a job: the module that `service.processes.template` loads, forks and serves with.

All that users describe is built and run here (models, data, trainings), for one job per process: what a trial does to
Keras, to memory or to the process itself ends with it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import structlog

from search.process import freeze_imports, keep_private, without_collections, without_scikit_learn
from service.observability import logs, tracing
from service.processes.limited import receive_message, send_message
from service.queue import TaskName
from service.settings import Settings
from service.store.capacity import Capacity
from service.store.session import is_retryable, reason_of
from worker import export, final_training, loop
from worker.capacity import limit_threads
from worker.runtime import Runtime, make_runtime

log = logging.getLogger(__name__)


def prepare() -> None:
    """Load the framework in the template, once for all processes; nothing of it runs there."""
    keep_private()
    logs.configure(Settings())
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        load_keras()


def load_keras() -> None:
    """Load the framework before the first trial. JAX starts threads, so that each process loads it itself."""
    with without_collections(), without_scikit_learn():
        import search.engine
        import search.training.trial  # noqa: F401
    freeze_imports()


def serve(connection: Connection) -> None:
    """Do what arrives, until the connection is closed. A message names the task, its ids, the job and the worker."""
    load_keras()
    runtime: Runtime | None = None
    faults: list[bool] = []
    while True:
        try:
            message, _ = receive_message(connection)
        except EOFError:
            return
        if runtime is None:
            runtime = make_runtime(
                Settings(),
                message["worker"],
                message["job"],
                _reporter(connection),
                lambda: faults.append(True),
                _capacity(message["capacity"]),
            )
            if message["cores"]:
                limit_threads(message["cores"])
        owes = not _do(runtime, message)
        send_message(connection, {"done": True, "owes": owes, "faulty": bool(faults)})


def _capacity(document: dict[str, Any] | None) -> Capacity | None:
    return None if document is None else Capacity(**document | {"extras": tuple(document["extras"])})


def _reporter(connection: Connection) -> Callable[[], None]:
    """Tells the worker that a step begins, so that it measures its time anew."""
    return lambda: send_message(connection, {"done": False})


def _do(runtime: Runtime, message: dict[str, Any]) -> bool:
    """Do what a message asks for; False if the database stopped responding and rows may be left as they were."""
    try:
        _do_task(runtime, TaskName(message["task"]), message)
    except Exception as error:
        if not is_retryable(error):
            raise
        log.warning("%s%s is left to the sweep: %s", message["task"], message["ids"], reason_of(error))
        return False
    return True


def _do_task(runtime: Runtime, task: TaskName, message: dict[str, Any]) -> None:
    ids = message["ids"]
    with (
        tracing.continued(message["headers"]),
        structlog.contextvars.bound_contextvars(task=task, **message["about"]),
    ):
        if task is TaskName.RUN_FINAL_TRAINING:
            runtime.on_step()
            final_training.run_final_training(runtime, int(ids[0]))
        elif task is TaskName.MAKE_EXPORT:
            runtime.on_step()
            export.make_export(runtime, int(ids[0]))
        else:
            loop.run(runtime, task, *ids)
