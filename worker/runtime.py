"""The settings and connections of one worker process."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from service.queue import Queue
from service.settings import Settings
from service.store.blobs import BlobStore
from service.store.session import Database


def _ignore() -> None:
    pass


@dataclass(frozen=True)
class Runtime:
    """The settings of a process and its connections. `worker` names the worker in rows.

    `job_id`: the only job whose trials the process runs; None: it runs those of all. `on_step` is called when it begins
    something that has a limit of time: a trial, a proposal, a report.
    """

    settings: Settings
    database: Database
    queue: Queue
    blobs: BlobStore
    worker: str
    job_id: str | None = None
    on_step: Callable[[], None] = _ignore


def make_runtime(
    settings: Settings,
    worker: str | None = None,
    job_id: str | None = None,
    on_step: Callable[[], None] = _ignore,
) -> Runtime:
    """The runtime of this process, which works for `worker`, or is one itself."""
    return Runtime(
        settings=settings,
        database=Database(settings.database),
        queue=Queue(settings),
        blobs=BlobStore(settings.blob_folder),
        worker=worker or worker_name(os.getpid()),
        job_id=job_id,
        on_step=on_step,
    )


def worker_name(pid: int) -> str:
    """`host/pid/start`: enough to tell later whether this very process is still alive."""
    return f"{socket.gethostname()}/{pid}/{psutil.Process(pid).create_time():.0f}"


def is_surely_dead(worker: str) -> bool:
    """True if the named process ran on this host and is gone; False for other hosts, whose processes are unknown."""
    host, pid, start = worker.split("/")
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(int(pid))
        if process.status() == psutil.STATUS_ZOMBIE:
            return True
        return abs(process.create_time() - float(start)) > 1.5
    except psutil.NoSuchProcess:
        return True
