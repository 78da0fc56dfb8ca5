"""The hub of clients that wait for events: one poll of the database for all, no thread or connection per client.

A stream sleeps on an asyncio event. While there are clients, one task polls the versions of their jobs a few times a
second, and wakes the clients of those that changed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from search.history import JOB_ENDED, JobStatus
from service.errors import TooMany
from service.schemas.jobs import EventView
from service.store import events
from service.store.session import Database

log = logging.getLogger(__name__)

#: Interval of the poll, and so the largest delay of an event.
INTERVAL_S: Final = 0.25

_RETRY: Final = {"Retry-After": "5"}

#: Jobs in one statement.
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of a job after some id, in order, encoded as JSON; `over`: the job has ended and these are the last ones.

    `version` is that of the job when they were read, None if the job was deleted.
    """

    version: int | None
    ids: Sequence[int]
    texts: Sequence[str]
    over: bool


class WatchedJob:
    """A job that at least one client waits for."""

    def __init__(self, start_polling: Callable[[], None], is_closing: Callable[[], bool]) -> None:
        self._start_polling, self._is_closing = start_polling, is_closing
        self.clients = 0
        self.version: int | None = -1  #: the newest known one; None: the job was deleted
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Have the clients look whether they are to go on."""
        self._changed.set()
        self._changed = asyncio.Event()

    def update(self, version: int | None) -> None:
        """Wake the clients if this version is new."""
        if version != self.version:
            self.version = version
            self.wake()

    async def newer_than(self, version: int, timeout_s: float) -> bool:
        """Wait until there is a newer version, the job is deleted, or the hub closes; False if the time runs out."""
        self._start_polling()
        try:
            async with asyncio.timeout(timeout_s):
                while not self._is_closing() and self.version is not None and self.version <= version:
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True


class Listeners:
    """Counts the clients of each key that wait for events. Used in one event loop only."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._present: Counter[str] = Counter()

    @contextmanager
    def place(self, key: str) -> Iterator[None]:
        """A place for one more client with this key. TooMany if it has as many as it may."""
        if self._present[key] >= self._most:
            raise TooMany(f"a key may have {self._most} streams and waiting requests at once", _RETRY)
        self._present[key] += 1
        try:
            yield
        finally:
            self._present[key] -= 1
            if not self._present[key]:
                del self._present[key]


class EventHub:
    """The jobs that clients wait for. It belongs to one event loop, that of its current clients."""

    def __init__(self, database: Database, interval_s: float = INTERVAL_S) -> None:
        self._database = database
        self._interval_s = interval_s
        self._jobs: dict[str, WatchedJob] = {}
        self._poll: asyncio.Task[None] | None = None
        self._reads: dict[tuple[str, int, int], asyncio.Task[EventBatch]] = {}
        self.is_closing = False  #: streams end, and clients connect to another process, or to the next one

    def close(self) -> None:
        """End all streams, each after the events that it has; call it in the event loop."""
        self.is_closing = True
        for job in self._jobs.values():
            job.wake()

    def __len__(self) -> int:
        """How many jobs clients wait for."""
        return len(self._jobs)

    @contextmanager
    def job(self, job_id: str) -> Iterator[WatchedJob]:
        """The job, to wait for its changes; only within a running event loop."""
        job = self._jobs.setdefault(job_id, WatchedJob(self._start_polling, lambda: self.is_closing))
        job.clients += 1
        try:
            yield job
        finally:
            job.clients -= 1
            if job.clients == 0:
                self._jobs.pop(job_id, None)

    def _start_polling(self) -> None:
        loop = asyncio.get_running_loop()
        if self._poll is None or self._poll.done() or self._poll.get_loop() is not loop:
            self._poll = loop.create_task(self._poll_versions())

    async def read(self, job_id: str, last: int, limit: int) -> EventBatch:
        """Up to `limit` events after `last`; clients that read the same at once share one query."""
        key = job_id, last, limit
        task = self._reads.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(run_in_threadpool(self._read, *key))
            self._reads[key] = task
            task.add_done_callback(lambda _: self._reads.pop(key, None))
        return await asyncio.shield(task)

    def _read(self, job_id: str, last: int, limit: int) -> EventBatch:
        with self._database.reading() as session:  # the status first: if events follow it, they are read
            job = events.statuses(session, [job_id]).get(job_id)
            rows = events.after(session, job_id, last, limit)
        if job is None:
            return EventBatch(None, (), (), over=True)
        version, status = job
        texts = [EventView.model_validate(row, from_attributes=True).model_dump_json() for row in rows]
        over = status in JOB_ENDED and len(rows) < limit
        return EventBatch(version, [row.id for row in rows], texts, over)

    async def _poll_versions(self) -> None:
        while self._jobs:
            await asyncio.sleep(self._interval_s)
            job_ids = list(self._jobs)
            try:
                versions = await run_in_threadpool(self._versions, job_ids)
            except SQLAlchemyError:
                log.warning("the versions of watched jobs could not be read", exc_info=True)
                continue
            for job_id in job_ids:
                if (job := self._jobs.get(job_id)) is not None:
                    job.update(versions.get(job_id))

    def _versions(self, job_ids: Sequence[str]) -> dict[str, int]:
        statuses: dict[str, tuple[int, JobStatus]] = {}
        with self._database.reading() as session:
            for start in range(0, len(job_ids), _BATCH):
                statuses |= events.statuses(session, job_ids[start : start + _BATCH])
        return {job_id: version for job_id, (version, _) in statuses.items()}


def to_json(batch: EventBatch, last: int) -> str:
    """The batch as a JSON document, `schemas.jobs.EventList`; `last`: the id it was read after."""
    tail = json.dumps({"last": batch.ids[-1] if batch.ids else last, "over": batch.over})
    return f'{{"items":[{",".join(batch.texts)}],{tail[1:]}'
