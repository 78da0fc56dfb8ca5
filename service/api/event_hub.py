"""Who waits for news of a job: one question to the database for all, and no thread or connection while they wait.

A stream sleeps on an event of the loop. While anybody waits, one task asks, a few times a second, which of the watched
jobs have a new version, and wakes those who wait for them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from search.history import JOB_ENDED, JobStatus
from service.schemas.jobs import EventView
from service.store import events
from service.store.session import Database

log = logging.getLogger(__name__)

#: How often the database is asked while anybody waits: what an event is late by, at most.
INTERVAL_S: Final = 0.25

#: Jobs asked for in one statement.
_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class News:
    """Events of a job after some id, in order, encoded as JSON; `over`: the job has ended and these are the last ones.

    `version` is the job's when they were read, None if there is no such job any more.
    """

    version: int | None
    ids: Sequence[int]
    texts: Sequence[str]
    over: bool


class Watched:
    """A job that at least one reader waits for."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self.readers = 0
        self.version: int | None = -1  #: the newest one seen; None: the job is gone
        self._changed = asyncio.Event()

    def tell(self, version: int | None) -> None:
        """Wake the readers if this version is new."""
        if version != self.version:
            self.version = version
            self._changed.set()
            self._changed = asyncio.Event()

    async def newer_than(self, version: int, timeout_s: float) -> bool:
        """Wait until there is something newer, or the job is gone; False if there was nothing in time."""
        self._begin()
        try:
            async with asyncio.timeout(timeout_s):
                while self.version is not None and self.version <= version:
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True


class Watch:
    """The jobs somebody waits for. It belongs to one event loop, that of the first reader of the time."""

    def __init__(self, database: Database, interval_s: float = INTERVAL_S) -> None:
        self._database = database
        self._interval_s = interval_s
        self._watched: dict[str, Watched] = {}
        self._task: asyncio.Task[None] | None = None
        self._reads: dict[tuple[str, int, int], asyncio.Task[News]] = {}

    def __len__(self) -> int:
        """How many jobs somebody waits for."""
        return len(self._watched)

    @contextmanager
    def job(self, job_id: str) -> Iterator[Watched]:
        """The job as something to wait for; only within a running event loop."""
        watched = self._watched.setdefault(job_id, Watched(self._begin))
        watched.readers += 1
        try:
            yield watched
        finally:
            watched.readers -= 1
            if watched.readers == 0:
                self._watched.pop(job_id, None)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._ask())

    async def news(self, job_id: str, last: int, limit: int) -> News:
        """The events after `last`; readers that ask for the same at once share one answer."""
        key = job_id, last, limit
        task = self._reads.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(run_in_threadpool(self._read, *key))
            self._reads[key] = task
            task.add_done_callback(lambda _: self._reads.pop(key, None))
        return await asyncio.shield(task)

    def _read(self, job_id: str, last: int, limit: int) -> News:
        with self._database.reading() as session:  # the state first: what is read later may only be more
            state = events.statuses(session, [job_id]).get(job_id)
            rows = events.after(session, job_id, last, limit)
        if state is None:
            return News(None, (), (), over=True)
        version, status = state
        texts = [EventView.model_validate(row, from_attributes=True).model_dump_json() for row in rows]
        over = status in JOB_ENDED and len(rows) < limit
        return News(version, [row.id for row in rows], texts, over)

    async def _ask(self) -> None:
        while self._watched:
            await asyncio.sleep(self._interval_s)
            asked = list(self._watched)
            try:
                found = await run_in_threadpool(self._versions, asked)
            except SQLAlchemyError:
                log.warning("the database did not say what is new", exc_info=True)
                continue
            for job_id in asked:
                if (watched := self._watched.get(job_id)) is not None:
                    watched.tell(found.get(job_id))

    def _versions(self, job_ids: Sequence[str]) -> dict[str, int]:
        found: dict[str, tuple[int, JobStatus]] = {}
        with self._database.reading() as session:
            for start in range(0, len(job_ids), _BATCH):
                found |= events.statuses(session, job_ids[start : start + _BATCH])
        return {job_id: version for job_id, (version, _) in found.items()}


def listing(news: News, last: int) -> str:
    """News as one JSON document, `schemas.EventList`."""
    tail = json.dumps({"last": news.ids[-1] if news.ids else last, "over": news.over})
    return f'{{"items":[{",".join(news.texts)}],{tail[1:]}'
