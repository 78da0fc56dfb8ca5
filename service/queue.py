"""The queue: messages from the service to the workers. A message only wakes; rows say what is to be done."""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from service.observability import tracing
from service.settings import Settings
from service.store.session import on_commit

if TYPE_CHECKING:
    from celery import Celery

log = logging.getLogger(__name__)


class TaskName(StrEnum):
    """The tasks of a worker; the values are the names on the wire. Arguments are ids, in JSON."""

    ADVANCE_JOB = "fewbits.advance_job"  #: (job id) propose trials, or end the job
    RUN_TRIAL = "fewbits.run_trial"  #: (trial id) claim, train and measure it
    WRITE_REPORT = (
        "fewbits.finalize_job"  #: (job id) measure the best trial on the test data, and end the job
    )
    RUN_FINAL_TRAINING = "fewbits.train_finally"  #: (trial id) train a chosen trial on
    MAKE_EXPORT = "fewbits.make_export"  #: (export id) write a trial in a format, run it and compare
    SWEEP = "fewbits.sweep"  #: () return what dead workers had claimed, send lost messages again


#: What the id in a message is, where it is not that of a trial.
_ARGUMENTS: Final = {
    TaskName.ADVANCE_JOB: "job",
    TaskName.WRITE_REPORT: "job",
    TaskName.MAKE_EXPORT: "export_id",
}


def argument_of(task: TaskName) -> str:
    """What the id in a message of a task is called in logs."""
    return _ARGUMENTS.get(task, "trial_id")


#: Seconds between polls of the file broker's folder; kombu's default of 1 s delays each message by as much.
POLL_S: Final = 0.05


def make_celery(settings: Settings) -> Celery:
    """A Celery application whose messages are JSON and whose results are not stored."""
    from celery import Celery

    app = Celery("fewbits", broker=settings.broker_url or "filesystem://")
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_default_queue="fewbits",
        broker_connection_retry_on_startup=True,
        broker_transport_options=_transport_options(settings),
    )
    return app


def _transport_options(settings: Settings) -> dict[str, Any]:
    if not settings.embedded:
        return {"visibility_timeout": 3600} if settings.broker_url.startswith("redis") else {}
    folders = _folders(settings)
    return {
        "data_folder_in": str(folders["messages"]),
        "data_folder_out": str(folders["messages"]),
        "control_folder": str(folders["control"]),
        "polling_interval": POLL_S,
        "store_processed": False,
    }


def _folders(settings: Settings) -> dict[str, Path]:
    """The folders of the embedded broker; created if missing."""
    folders = {name: settings.home / "queue" / name for name in ("messages", "processed", "control")}
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    return folders


class Queue:
    """Sends messages once the current transaction is committed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = _folders(settings)["messages"] if settings.embedded else None

    @cached_property
    def _celery(self) -> Celery:
        """Created for the first message: without it a service that has just started answers sooner."""
        return make_celery(self._settings)

    def enqueue(self, task: TaskName, *ids: str | int) -> None:
        """Send a message after the commit; it is dropped if the transaction rolls back.

        A broker that does not answer is logged, not raised: the rows are stored, and the sweep sends the message again.
        """
        on_commit(partial(self.send, task, *ids))

    def send(self, task: TaskName, *ids: str | int) -> bool:
        """Send now; False if the broker does not answer."""
        try:
            self._celery.send_task(
                task.value, args=list(ids), headers=tracing.headers(), ignore_result=True, retry=False
            )
        except Exception:  # of any transport: the sweep sends the message again
            log.warning("the broker did not accept %s%s", task, ids, exc_info=True)
            return False
        return True

    def check(self) -> None:
        """Raise if no message can be sent: PermissionError if the embedded broker's folder cannot be written, or what
        the broker's transport raises.
        """
        if self._folder is not None:
            if not os.access(self._folder, os.W_OK | os.X_OK):
                raise PermissionError(f"{self._folder} is not writable")
            return
        with self._celery.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=3)

    def close(self) -> None:
        """Close the connection to the broker."""
        if "_celery" in vars(self):
            self._celery.close()
