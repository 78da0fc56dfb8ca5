"""What happens in a job, as it happens: a stream of events (SSE), or a list that waits for the next one."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from service.api.deps import READS, DatabaseDep, JobId
from service.api.event_hub import Watch, listing
from service.api.negotiation import chosen
from service.api.responses import problem_responses
from service.errors import InvalidParameter
from service.schemas.jobs import EventList
from service.store import jobs
from service.store.session import Database

router = APIRouter(prefix="/v1/jobs/{job_id}/events", tags=["jobs"], dependencies=[READS])

SSE: Final = "text/event-stream"
_JSON: Final = "application/json"

#: A comment is sent after so long without an event, so that nothing between takes the stream for dead.
HEARTBEAT_S: Final = 15.0

#: What a browser waits before it connects again.
_RETRY_MS: Final = 2000

#: Events read at once for a stream.
_BATCH: Final = 500
_MAX_ID: Final = 2**31 - 1

_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept"}


async def _watch(request: Request) -> Watch:
    watch: Watch = request.app.state.watch
    return watch


WatchDep = Annotated[Watch, Depends(_watch)]


@router.get(
    "",
    response_model=EventList,
    responses={
        200: {
            "content": {SSE: {"schema": {"type": "string"}}},
            "description": "As JSON: events after `after`. As text/event-stream: each as it happens, with the same"
            " document as data, until the job has ended",
        },
        204: {"description": "The job has ended and there is nothing to stream after Last-Event-ID"},
        **problem_responses(_404="No such job", _406="Not in this format"),
    },
)
async def read_events(
    request: Request,
    job_id: JobId,
    database: DatabaseDep,
    watch: WatchDep,
    after: Annotated[int, Query(ge=0, le=_MAX_ID, description="only events with a higher id")] = 0,
    wait_s: Annotated[
        float, Query(ge=0, le=30, description="JSON only: wait so long for an event if there is none")
    ] = 0.0,
    limit: Annotated[int, Query(ge=1, le=1000, description="JSON only: how many at most")] = 500,
    last_event_id: Annotated[
        str | None, Header(description="what an event stream has seen; goes before `after`")
    ] = None,
) -> Response:
    """What happened in a job, in order. `version` of a job is the id of its newest event, so that what is read of a
    job and the events after its version are everything.
    """
    media_type = chosen(request, (_JSON, SSE))
    await run_in_threadpool(_check, database, job_id)
    if media_type == SSE:
        return await _streamed(watch, job_id, after if last_event_id is None else _seen(last_event_id))
    return Response(await _listed(watch, job_id, after, limit, wait_s), media_type=_JSON, headers=_HEADERS)


def _check(database: Database, job_id: str) -> None:
    """JobNotFound unless the caller's tenant has the job; the watch itself asks for everybody."""
    with database.reading() as session:
        jobs.get(session, job_id)


def _seen(last_event_id: str) -> int:
    if not (last_event_id.isascii() and last_event_id.isdigit() and int(last_event_id[:20]) <= _MAX_ID):
        raise InvalidParameter("Last-Event-ID", "is not the id of an event")
    return int(last_event_id)


async def _listed(watch: Watch, job_id: str, after: int, limit: int, wait_s: float) -> str:
    deadline = time.monotonic() + wait_s
    with watch.job(job_id) as watched:
        while True:
            news = await watch.news(job_id, after, limit)
            left_s = deadline - time.monotonic()
            if news.ids or news.over or news.version is None or left_s <= 0:
                return listing(news, after)
            await watched.newer_than(news.version, left_s)


async def _streamed(watch: Watch, job_id: str, last: int) -> Response:
    first = await watch.news(job_id, last, _BATCH)
    if first.over and not first.ids:
        return Response(status_code=204, headers=_HEADERS)  # a browser would connect again and again
    return StreamingResponse(_stream(watch, job_id, last), media_type=SSE, headers=_HEADERS)


async def _stream(watch: Watch, job_id: str, last: int) -> AsyncIterator[str]:
    yield f"retry: {_RETRY_MS}\n\n"
    with watch.job(job_id) as watched:
        while True:
            news = await watch.news(job_id, last, _BATCH)
            if news.ids:
                yield "".join(
                    f"id: {number}\ndata: {text}\n\n"
                    for number, text in zip(news.ids, news.texts, strict=True)
                )
                last = news.ids[-1]
            if news.over or news.version is None:
                return
            while len(news.ids) < _BATCH and not await watched.newer_than(news.version, HEARTBEAT_S):
                yield ": nothing new\n\n"
