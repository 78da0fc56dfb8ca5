"""The settings and connections of one worker process."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import psutil

from service.queue import Queue
from service.settings import Settings
from service.store.blobs import BlobStore
from service.store.session import Database


@dataclass(frozen=True)
class Runtime:
    """The settings of a process and its connections. `worker` names the process in rows."""

    settings: Settings
    database: Database
    queue: Queue
    blobs: BlobStore
    worker: str


def make_runtime(settings: Settings) -> Runtime:
    """The runtime of this process."""
    return Runtime(
        settings=settings,
        database=Database(settings.database),
        queue=Queue(settings),
        blobs=BlobStore(settings.blob_folder),
        worker=worker_name(os.getpid()),
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
