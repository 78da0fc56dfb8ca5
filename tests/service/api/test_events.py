"""Events over HTTP: as a list that waits, and as a stream from a real server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from search.history import JobStatus
from service.api import events as api
from service.api.event_hub import EventHub
from service.store import job_actions
from tests.service.filled import Filled, Filler

SSE = {"accept": "text/event-stream"}


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """The application on a real socket, in a thread."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
            assert thread.is_alive()
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def url(app: FastAPI) -> Iterator[str]:
    """Where the application listens."""
    with serving(app) as address:
        yield address


def finished(filler: Filler) -> Filled:
    filled = filler.job()
    for trial_id in filler.queue(filled, 2):
        filler.measure(filled, trial_id)
    filler.end(filled)
    return filled


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data")]


# --- lists ---


def test_the_list_has_all_events_in_order(http: TestClient, filler: Filler) -> None:
    filled = finished(filler)
    listed = http.get(f"/v1/jobs/{filled.job_id}/events").json()
    ids = [event["id"] for event in listed["items"]]
    assert ids == sorted(set(ids))
    assert listed["last"] == ids[-1] == http.get(f"/v1/jobs/{filled.job_id}").json()["version"]
    assert listed["over"] is True
    assert [event["trial"] for event in listed["items"] if event["type"] == "trial.ended"] == [0, 1]


def test_the_list_continues_after_the_last_event(http: TestClient, filler: Filler) -> None:
    path = f"/v1/jobs/{finished(filler).job_id}/events"
    whole = http.get(path).json()["items"]
    pieces, last, over = [], 0, False
    while not over:
        page = http.get(path, params={"after": last, "limit": 4}).json()
        pieces += page["items"]
        last, over = page["last"], page["over"]
    assert pieces == whole
    assert http.get(path, params={"after": last}).json() == {"items": [], "last": last, "over": True}


def test_a_waiting_list_responds_when_something_happens(url: str, filler: Filler, app: FastAPI) -> None:
    filled = filler.job()
    last = httpx.get(f"{url}/v1/jobs/{filled.job_id}/events").json()["last"]
    responses: list[Any] = []

    def ask() -> None:
        params = {"after": last, "wait_s": 30}
        responses.append(httpx.get(f"{url}/v1/jobs/{filled.job_id}/events", params=params, timeout=60).json())

    asking = threading.Thread(target=ask)
    asking.start()
    while not len(app.state.events):  # nobody waits yet
        asking.join(0.01)
    with app.state.database.transaction() as session:
        job_actions.pause(session, filled.job_id)
    asking.join()
    assert [event["data"]["status"] for event in responses[0]["items"]] == ["paused"]


def test_a_list_does_not_wait_for_a_job_that_has_ended(http: TestClient, filler: Filler) -> None:
    filled = finished(filler)
    last = http.get(f"/v1/jobs/{filled.job_id}").json()["version"]
    answer = http.get(f"/v1/jobs/{filled.job_id}/events", params={"after": last, "wait_s": 30})
    assert answer.json()["items"] == []


# --- streams ---


def test_a_stream_of_a_job_that_has_ended_sends_all_events_and_ends(http: TestClient, filler: Filler) -> None:
    path = f"/v1/jobs/{finished(filler).job_id}/events"
    answer = http.get(path, headers=SSE)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text.startswith("retry: 2000\n\nid: ")
    assert documents(answer.text) == http.get(path).json()["items"]


def test_a_stream_continues_after_the_last_event_id(http: TestClient, filler: Filler) -> None:
    path = f"/v1/jobs/{finished(filler).job_id}/events"
    whole = http.get(path).json()["items"]
    for position in (0, 3, len(whole) - 2):
        headers = SSE | {"last-event-id": str(whole[position]["id"])}
        assert documents(http.get(path, headers=headers).text) == whole[position + 1 :]


def test_a_browser_that_has_all_events_of_a_job_gets_204(http: TestClient, filler: Filler) -> None:
    path = f"/v1/jobs/{finished(filler).job_id}/events"
    headers = SSE | {"last-event-id": str(http.get(path).json()["last"])}
    assert http.get(path, headers=headers).status_code == 204


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "9" * 30, "\u00b2"])
def test_an_invalid_last_event_id_is_refused(http: TestClient, filler: Filler, value: str) -> None:
    headers = {**SSE, "last-event-id": value.encode()}
    answer = http.get(f"/v1/jobs/{filler.job().job_id}/events", headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["parameter"] == "Last-Event-ID"


def test_the_events_of_an_unknown_job_are_not_found(http: TestClient) -> None:
    assert http.get("/v1/jobs/0123456789abcdef/events", headers=SSE).status_code == 404


@asynccontextmanager
async def listening(client: httpx.AsyncClient, path: str) -> AsyncIterator[AsyncIterator[str]]:
    async with client.stream("GET", path, headers=SSE) as answer:
        yield answer.aiter_lines()


async def until(lines: AsyncIterator[str], event_type: str) -> list[dict[str, Any]]:
    """Events up to the first one of this type."""
    received: list[dict[str, Any]] = []
    async for line in lines:
        received += documents(line)
        if received and received[-1]["type"] == event_type:
            return received
    raise AssertionError(f"the stream ended without {event_type}")


def test_many_streams_wait_without_thread_or_connection_and_get_every_event(
    url: str, app: FastAPI, filler: Filler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "HEARTBEAT_S", 0.05)
    filled = filler.job()
    (trial_id,) = filler.queue(filled, 1)
    path = f"/v1/jobs/{filled.job_id}/events"

    async def listen(client: httpx.AsyncClient, waiting: asyncio.Semaphore) -> list[dict[str, Any]]:
        async with listening(client, path) as lines:
            received = await until(lines, "trial.queued")
            async for line in lines:
                if line == ": nothing new":
                    break
            waiting.release()
            async for line in lines:
                received += documents(line)
            return received

    async def run() -> list[list[dict[str, Any]]]:
        waiting = asyncio.Semaphore(0)
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
            streams = [asyncio.create_task(listen(client, waiting)) for _ in range(30)]
            for _ in streams:
                await waiting.acquire()
            assert app.state.database.engine.pool.checkedout() <= 1  # the one that asks for all
            await asyncio.to_thread(filler.measure, filled, trial_id)
            await asyncio.to_thread(filler.end, filled, JobStatus.DONE)
            return await asyncio.gather(*streams)

    received_by_stream = asyncio.run(run())
    whole = httpx.get(url + path).json()["items"]
    assert all(events == whole for events in received_by_stream)
    assert len(app.state.events) == 0


def test_a_stream_ends_when_its_job_is_deleted(url: str, app: FastAPI, filler: Filler) -> None:
    filled = filler.job()
    with httpx.stream("GET", f"{url}/v1/jobs/{filled.job_id}/events", headers=SSE, timeout=60) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "retry: 2000"
        with app.state.database.transaction() as session:
            job_actions.cancel(session, filled.job_id)
            job_actions.delete(session, filled.job_id)
        rest = [json.loads(line[6:])["type"] for line in lines if line.startswith("data")]
    assert "job.created" in rest


def test_streams_and_waiting_requests_end_when_the_service_does(app: FastAPI, filler: Filler) -> None:
    job_id = filler.job().job_id

    async def run() -> tuple[str | None, str]:
        hub = EventHub(app.state.database)
        stream = api._stream(hub, job_id, 0)
        assert "retry" in await anext(stream)
        assert "data" in await anext(stream)
        waiting = asyncio.ensure_future(anext(stream, None))
        listed = asyncio.ensure_future(api._listed(hub, job_id, 10_000, 10, 600))
        while not len(hub):
            await asyncio.sleep(0)
        hub.close()
        return await asyncio.wait_for(waiting, 20), await asyncio.wait_for(listed, 20)

    last, listed = asyncio.run(run())
    assert last is None
    assert json.loads(listed)["items"] == []
