"""The events of a job: a stream of server-sent events, or a list that waits for the next one (long polling)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from service.api.deps import READS, CallerDep, DatabaseDep, JobId
from service.api.event_hub import EventHub, Listeners, to_json
from service.api.negotiation import negotiated
from service.api.responses import problem_responses
from service.errors import InvalidParameter
from service.schemas.jobs import EventList
from service.store import jobs
from service.store.session import Database

router = APIRouter(prefix="/v1/jobs/{job_id}/events", tags=["jobs"], dependencies=[READS])

SSE: Final = "text/event-stream"
_JSON: Final = "application/json"

#: A comment is sent after this long without an event, so that no proxy closes the stream.
HEARTBEAT_S: Final = 15.0

#: How long a browser waits before it reconnects.
_RETRY_MS: Final = 2000

#: Events that a stream reads at once.
_BATCH: Final = 500
_MAX_ID: Final = 2**31 - 1

_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept"}


async def _hub(request: Request) -> EventHub:
    hub: EventHub = request.app.state.events
    return hub


HubDep = Annotated[EventHub, Depends(_hub)]


async def take_place(request: Request, caller: CallerDep) -> AsyncIterator[None]:
    """A place among the clients with the caller's key that wait for events, until the response has ended."""
    listeners: Listeners = request.app.state.listeners
    with listeners.place(caller.key_id or caller.tenant):
        yield


@router.get(
    "",
    dependencies=[Depends(take_place)],
    response_model=EventList,
    responses={
        200: {
            "content": {SSE: {"schema": {"type": "string"}}},
            "description": "JSON: the events after `after`. text/event-stream: every event as it happens, with the same"
            " document as data, until the job has ended",
        },
        204: {"description": "The job has ended, and there are no events after Last-Event-ID"},
        **problem_responses(
            _404="No such job",
            _406="None of the requested formats is available",
            _429="The key has too many streams and waiting requests, or sends too many requests",
        ),
    },
)
async def read_events(
    request: Request,
    job_id: JobId,
    database: DatabaseDep,
    hub: HubDep,
    after: Annotated[int, Query(ge=0, le=_MAX_ID, description="only events with a larger id")] = 0,
    wait_s: Annotated[
        float, Query(ge=0, le=30, description="JSON only: how long to wait for an event if there is none")
    ] = 0.0,
    limit: Annotated[int, Query(ge=1, le=1000, description="JSON only: maximum number of events")] = 500,
    last_event_id: Annotated[
        str | None, Header(description="the last event that an event stream has received; replaces `after`")
    ] = None,
) -> Response:
    """The events of a job, in order. The `version` of a job is the id of its newest event: a job, and the events after
    its version, are complete.
    """
    media_type = negotiated(request, (_JSON, SSE))
    await run_in_threadpool(_check, database, job_id)
    if media_type == SSE:
        return await _streamed(hub, job_id, after if last_event_id is None else _event_id(last_event_id))
    return Response(await _listed(hub, job_id, after, limit, wait_s), media_type=_JSON, headers=_HEADERS)


def _check(database: Database, job_id: str) -> None:
    """JobNotFound unless the caller's tenant has the job: the hub itself reads jobs of all tenants."""
    with database.reading() as session:
        jobs.get(session, job_id)


def _event_id(last_event_id: str) -> int:
    if not (last_event_id.isascii() and last_event_id.isdigit() and int(last_event_id[:20]) <= _MAX_ID):
        raise InvalidParameter("Last-Event-ID", "must be the id of an event")
    return int(last_event_id)


async def _listed(hub: EventHub, job_id: str, after: int, limit: int, wait_s: float) -> str:
    deadline = time.monotonic() + wait_s
    with hub.job(job_id) as job:
        while True:
            batch = await hub.read(job_id, after, limit)
            left_s = deadline - time.monotonic()
            if batch.ids or batch.over or batch.version is None or left_s <= 0 or hub.is_closing:
                return to_json(batch, after)
            await job.newer_than(batch.version, left_s)


async def _streamed(hub: EventHub, job_id: str, last: int) -> Response:
    first = await hub.read(job_id, last, _BATCH)
    if first.over and not first.ids:
        return Response(status_code=204, headers=_HEADERS)  # otherwise a browser reconnects again and again
    return StreamingResponse(_stream(hub, job_id, last), media_type=SSE, headers=_HEADERS)


async def _stream(hub: EventHub, job_id: str, last: int) -> AsyncIterator[str]:
    yield f"retry: {_RETRY_MS}\n\n"
    with hub.job(job_id) as job:
        while True:
            batch = await hub.read(job_id, last, _BATCH)
            if batch.ids:
                yield "".join(
                    f"id: {number}\ndata: {text}\n\n"
                    for number, text in zip(batch.ids, batch.texts, strict=True)
                )
                last = batch.ids[-1]
            if batch.over or batch.version is None or hub.is_closing:
                return
            while len(batch.ids) < _BATCH and not await job.newer_than(batch.version, HEARTBEAT_S):
                yield ": nothing new\n\n"
