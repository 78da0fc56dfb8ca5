"""The queue: messages from the service to the workers. A message only wakes; rows say what is to be done."""

from __future__ import annotations

import logging
import os
import time
from enum import StrEnum
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from service.observability import tracing
from service.settings import DEFAULT_NAMESPACE, Settings
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


#: Seconds until a broker must accept a connection or a message.
ANSWER_S = 5.0

#: Seconds in which no message is sent after a broker did not accept one: not every request is to wait for it.
_AWAY_S: Final = 10.0


def make_celery(settings: Settings, *, only_sends: bool = False) -> Celery:
    """A Celery application whose messages are JSON and whose results are not stored.

    One that `only_sends` gives a broker up that does not answer; a worker waits for it.
    """
    from celery import Celery
    from kombu.transport import TRANSPORT_ALIASES

    TRANSPORT_ALIASES["fewbits"] = "service.file_broker:Transport"
    app = Celery("fewbits", broker=settings.broker_url or "fewbits://localhost")
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        result_backend=None,
        task_ignore_result=True,
        task_default_queue=settings.namespace,
        broker_connection_retry_on_startup=True,
        broker_transport_options=_transport_options(settings, only_sends),
    )
    return app


def _transport_options(settings: Settings, only_sends: bool) -> dict[str, Any]:
    if not settings.embedded:
        return _broker_options(settings, only_sends)
    folders = _folders(settings)
    return {
        "data_folder_in": str(folders["messages"]),
        "data_folder_out": str(folders["messages"]),
        "control_folder": str(folders["control"]),
        "polling_interval": POLL_S,
        "store_processed": False,
    }


def _broker_options(settings: Settings, only_sends: bool) -> dict[str, Any]:
    once = {"max_retries": 1, "interval_start": 0.0, "interval_step": 0.1, "interval_max": 0.1}
    options: dict[str, Any] = once if only_sends else {}
    if not settings.broker_url.startswith("redis"):
        limits = {"connect_timeout": ANSWER_S, "read_timeout": ANSWER_S, "write_timeout": ANSWER_S}
        return options | (limits if only_sends else {})
    options |= {"visibility_timeout": 3600, "socket_connect_timeout": ANSWER_S, "socket_keepalive": True}
    if only_sends:
        options["socket_timeout"] = ANSWER_S
    if settings.namespace != DEFAULT_NAMESPACE:  # keys of earlier versions have no prefix
        options["global_keyprefix"] = f"{settings.namespace}:"
    return options


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
        self._away_until_s = 0.0

    @cached_property
    def _celery(self) -> Celery:
        """Created for the first message: without it a service that has just started answers sooner."""
        return make_celery(self._settings, only_sends=True)

    def enqueue(self, task: TaskName, *ids: str | int) -> None:
        """Send a message after the commit; it is dropped if the transaction rolls back.

        A broker that does not answer is logged, not raised: the rows are stored, and the sweep sends the message again.
        """
        on_commit(partial(self.send, task, *ids))

    def send(self, task: TaskName, *ids: str | int) -> bool:
        """Send now; False if the broker does not answer, or did not a moment ago."""
        if time.monotonic() < self._away_until_s:
            return False
        try:
            self._celery.send_task(
                task.value, args=list(ids), headers=tracing.headers(), ignore_result=True, retry=False
            )
        except Exception:  # of any transport: the sweep sends the message again
            log.warning("the broker did not accept %s%s", task, ids, exc_info=True)
            self._away_until_s = 0.0 if self._settings.embedded else time.monotonic() + _AWAY_S
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
