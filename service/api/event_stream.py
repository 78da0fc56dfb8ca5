"""One stream with the events of several jobs: a browser opens six connections to a host and no more, so all of its tabs
share one.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from service.api.deps import READS, DatabaseDep
from service.api.event_hub import EventHub
from service.api.events import HEARTBEAT_S, SSE, HubDep, take_place
from service.api.responses import problem_responses
from service.errors import InvalidParameter
from service.store import events
from service.store.session import Database

log = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/events", tags=["jobs"], dependencies=[READS])

_JOB: Final = re.compile(r"([0-9a-f]{16}):([0-9]{1,10})")
_MAX_JOBS: Final = 50
_BATCH: Final = 500
_RETRY_MS: Final = 2000
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@router.get(
    "",
    dependencies=[Depends(take_place)],
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {SSE: {"schema": {"type": "string"}}},
            "description": "`{job_id, event}` for each event as it happens; `{job_id, over: true}` after the last"
            " one of a job that has ended, or does not exist",
        },
        **problem_responses(
            _422="A job is not named as `ID:VERSION`, or there are too many",
            _429="The key has too many streams and waiting requests, or sends too many requests",
        ),
    },
)
async def stream_events(
    database: DatabaseDep,
    hub: HubDep,
    job: Annotated[
        list[str],
        Query(
            description="`ID:VERSION`: a job, and the id of its last event that is known",
            max_length=_MAX_JOBS,
        ),
    ],
) -> StreamingResponse:
    """The events of several jobs in one stream of server-sent events, each job's in order."""
    starts = dict(_parsed(text) for text in job)
    visible = await run_in_threadpool(_visible, database, list(starts))
    return StreamingResponse(_merged(hub, starts, visible), media_type=SSE, headers=_HEADERS)


def _parsed(text: str) -> tuple[str, int]:
    match = _JOB.fullmatch(text)
    if match is None:
        raise InvalidParameter("job", f"{text[:40]!r} should be the id of a job, a colon, and its version")
    return match[1], int(match[2])


def _visible(database: Database, job_ids: list[str]) -> frozenset[str]:
    """Those of the jobs that the caller's tenant has: the hub itself reads jobs of all tenants."""
    with database.reading() as session:
        return frozenset(events.statuses(session, job_ids))


async def _merged(hub: EventHub, starts: Mapping[str, int], visible: frozenset[str]) -> AsyncIterator[str]:
    """What happens in the jobs, until all of them have ended."""
    yield f"retry: {_RETRY_MS}\n\n" + "".join(_over(job_id) for job_id in starts if job_id not in visible)
    texts: asyncio.Queue[str | None] = asyncio.Queue(maxsize=8)
    loop = asyncio.get_running_loop()
    tasks = [
        loop.create_task(_follow(hub, job_id, starts[job_id], texts))
        for job_id in starts
        if job_id in visible
    ]
    open_jobs = len(tasks)
    try:
        while open_jobs:
            try:
                text = await asyncio.wait_for(texts.get(), HEARTBEAT_S)
            except TimeoutError:
                text = ": nothing new\n\n"
            if text is None:
                open_jobs -= 1
            else:
                yield text
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow(hub: EventHub, job_id: str, last: int, texts: asyncio.Queue[str | None]) -> None:
    """Put the events of one job into the queue, and None after the last one, or when they cannot be read.

    Cancelled, it puts nothing: nobody reads the queue any more, and to wait for room in it would never end.
    """
    try:
        async for text in _texts(hub, job_id, last):
            await texts.put(text)
    except Exception:  # the client asks again, from the last event that it has
        log.warning("the events of job %s could not be read", job_id, exc_info=True)
    await texts.put(None)


async def _texts(hub: EventHub, job_id: str, last: int) -> AsyncIterator[str]:
    """The events of one job as messages, until it has ended."""
    with hub.job(job_id) as job:
        while True:
            batch = await hub.read(job_id, last, _BATCH)
            if batch.ids:
                yield "".join(_message(job_id, text) for text in batch.texts)
                last = batch.ids[-1]
            if batch.over or batch.version is None:
                yield _over(job_id)
                return
            if hub.is_closing:
                return
            while len(batch.ids) < _BATCH and not await job.newer_than(batch.version, HEARTBEAT_S):
                pass


def _message(job_id: str, event: str) -> str:
    return f'data: {{"job_id":"{job_id}","event":{event}}}\n\n'


def _over(job_id: str) -> str:
    document: dict[str, Any] = {"job_id": job_id, "over": True}
    return f"data: {json.dumps(document, separators=(',', ':'))}\n\n"
