"""The settings and connections of one worker process."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field

from service.queue import Queue
from service.settings import Settings
from service.store.blob_stores import open_blobs
from service.store.blobs import BlobStore
from service.store.capacity import Capacity
from service.store.session import Database
from worker.backoff import Backoff
from worker.identity import worker_name


def _ignore() -> None:
    pass


@dataclass(frozen=True)
class Runtime:
    """The settings of a process and its connections. `worker` names the worker in rows.

    `job_id`: the only job whose trials the process runs; None: it runs those of all. `on_step` is called when it begins
    something that has a limit of time: a trial, a proposal, a report. `on_fault`: after an error that nobody expected,
    whose traces may be in the process. `backoff`: whether it claims anything now. `capacity`: what the worker has for a
    trial, so that it takes those that fit; None: it takes all.
    """

    settings: Settings
    database: Database
    queue: Queue
    blobs: BlobStore
    worker: str
    job_id: str | None = None
    on_step: Callable[[], None] = _ignore
    on_fault: Callable[[], None] = _ignore
    backoff: Backoff = field(default_factory=Backoff)
    capacity: Capacity | None = None


def make_runtime(
    settings: Settings,
    worker: str | None = None,
    job_id: str | None = None,
    on_step: Callable[[], None] = _ignore,
    on_fault: Callable[[], None] = _ignore,
    capacity: Capacity | None = None,
) -> Runtime:
    """The runtime of this process, which works for `worker`, or is one itself."""
    return Runtime(
        settings=settings,
        database=Database(settings.database, settings.database_timeout.total_seconds()),
        queue=Queue(settings),
        blobs=open_blobs(settings),
        worker=worker or worker_name(os.getpid()),
        job_id=job_id,
        on_step=on_step,
        on_fault=on_fault,
        capacity=capacity,
    )
