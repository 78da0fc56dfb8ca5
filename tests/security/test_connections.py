"""Connections: what never ends, or is too much, is closed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from fastapi import FastAPI
from uvicorn.config import Config
from uvicorn.server import ServerState

from service.api import connection
from service.api.connection import MAX_HEAD_BYTES, MAX_URL_BYTES, LimitedConnection
from service.api.event_hub import EventBatch, EventHub, Listeners
from service.api.event_stream import _merged
from service.errors import TooMany
from service.settings import Settings
from tests.security.loops import in_loop
from tests.service.conftest import TestClient


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Timers:
    """An event loop's timers, run by hand."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.pending: dict[object, tuple[float, Callable[[], None]]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    def call_later(self, delay: float, callback: Callable[[], None], *_: Any) -> Any:
        token = object()
        self.pending[token] = delay, callback

        class Handle:
            def cancel(handle) -> None:  # noqa: N805
                self.pending.pop(token, None)

        return Handle()

    def run_out(self) -> None:
        for _, callback in list(self.pending.values()):
            callback()
        self.pending.clear()


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def connected() -> tuple[LimitedConnection, Wire, Timers]:
    timers = Timers(asyncio.get_running_loop())
    config = Config(_answer, log_config=None, lifespan="off")
    config.load()
    protocol = LimitedConnection(config, ServerState(), {}, timers)
    wire = Wire()
    protocol.connection_made(wire)
    return protocol, wire, timers


@in_loop
async def test_a_head_that_never_ends_is_refused() -> None:
    protocol, wire, _ = connected()
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
    for _ in range(MAX_HEAD_BYTES // 1000 + 1):
        protocol.data_received(b"a" * 1000)
    assert wire.closed
    assert wire.written.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: one\r\n\r\n", 400),
        (b"GET /" + b"a" * MAX_URL_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * MAX_HEAD_BYTES, 431),
    ],
)
@in_loop
async def test_what_is_no_request_is_answered_with_a_problem(head: bytes, status: int) -> None:
    protocol, wire, _ = connected()
    protocol.data_received(head)
    answer, _, body = wire.written.partition(b"\r\n\r\n")
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"content-type: application/problem+json" in answer
    assert f"content-length: {len(body)}".encode() in answer
    assert json.loads(body)["status"] == status
    assert wire.closed


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HT", b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"],
    ids=["nothing", "head", "body"],
)
@in_loop
async def test_what_is_unfinished_is_closed_when_its_time_is_over(sent: bytes) -> None:
    protocol, wire, timers = connected()
    if sent:
        protocol.data_received(sent)
    assert not wire.closed
    timers.run_out()
    assert wire.closed


@in_loop
async def test_requests_in_time_are_answered_one_after_another() -> None:
    protocol, wire, timers = connected()
    for count in (1, 2):
        protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")
        protocol.data_received(b"abc")
        assert all(callback.__name__ != "_give_up" for _, callback in timers.pending.values())
        while wire.written.count(b"HTTP/1.1 204") < count:
            await asyncio.sleep(0)
    assert not wire.closed


@in_loop
async def test_a_body_that_goes_on_has_its_time_again() -> None:
    protocol, _, timers = connected()
    protocol.data_received(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")
    (before,) = timers.pending
    protocol.data_received(b"d")
    (after,) = timers.pending
    assert before is not after
    assert timers.pending[after][0] == connection.BODY_PAUSE_S


@in_loop
async def test_a_body_that_drips_is_closed() -> None:
    protocol, wire, timers = connected()
    protocol.data_received(b"POST / HTTP/1.1\r\nContent-Length: 900000\r\n\r\nabc")
    protocol._body_began -= connection.BODY_GRACE_S - 1  # nearly as long ago
    protocol.data_received(b"d")
    assert not wire.closed
    protocol._body_began -= 2
    protocol.data_received(b"e" * int(2 * connection.BODY_GRACE_S * connection.BODY_RATE))
    assert not wire.closed, "it is fast on average"
    protocol._body_began -= 3 * connection.BODY_GRACE_S
    protocol.data_received(b"f")
    assert wire.closed
    assert not timers.pending


def test_only_what_describes_networks_may_have_a_large_body(http: TestClient, job: dict[str, Any]) -> None:
    body = b" " * (64 << 10) + b"{}"
    head = {"content-type": "application/json"}
    for path in (
        "/v1/models",
        "/v1/jobs/0123456789abcdef:extend",
        "/v1/jobs/0123456789abcdef/trials/0:finalize",
    ):
        assert http.post(path, content=body, headers=head).status_code == 413
    for path in ("/v1/jobs:validate", "/v1/jobs", "/v1/cost", "/v1/jobs/0123456789abcdef:clone"):
        assert http.post(path, content=body, headers=head).status_code in (404, 422)


def test_a_key_has_a_number_of_streams(settings: Settings) -> None:
    listeners = Listeners(2)
    with listeners.place("a"), listeners.place("b"), listeners.place("a"):
        with pytest.raises(TooMany) as refused, listeners.place("a"):
            pass
        assert refused.value.headers["Retry-After"]
    with listeners.place("a"), listeners.place("a"):
        pass
    assert not listeners._present


def test_a_stream_takes_and_leaves_its_place(app: FastAPI, http: TestClient, job: dict[str, Any]) -> None:
    app.state.listeners = Listeners(1)
    path = http.post("/v1/jobs", json=job).headers["location"] + "/events"
    for _ in range(3):  # one after another is one at once
        assert http.get(path).status_code == 200
        assert http.get("/v1/jobs/0123456789abcdef/events").status_code == 404
    with app.state.listeners.place("local"):
        assert http.get(path).status_code == 429
    http.post(path.removesuffix("/events") + ":cancel")
    assert http.get(path, headers={"accept": "text/event-stream"}).status_code == 200
    assert not app.state.listeners._present


def test_a_stream_of_several_jobs_takes_a_place_too(
    app: FastAPI, http: TestClient, job: dict[str, Any]
) -> None:
    app.state.listeners = Listeners(1)
    place = http.post("/v1/jobs", json=job).headers["location"]
    http.post(f"{place}:cancel")
    path = f"/v1/events?job={place.rpartition('/')[2]}:0"
    for _ in range(3):
        assert http.get(path).status_code == 200
    with app.state.listeners.place("local"):
        assert http.get(path).status_code == 429
    assert not app.state.listeners._present


class Busy:
    """A hub of a job that never stops happening."""

    watchers = 0
    is_closing = False

    @contextmanager
    def job(self, _: str) -> Iterator[None]:
        self.watchers += 1
        try:
            yield
        finally:
            self.watchers -= 1

    async def read(self, *_: Any) -> EventBatch:
        await asyncio.sleep(0)
        return EventBatch(1, range(500), ["{}"] * 500, over=False)


@in_loop
async def test_a_client_that_leaves_while_much_happens_leaves_nothing() -> None:
    hub = Busy()
    stream = cast(AsyncIterator[str], _merged(cast(EventHub, hub), {"a": 0, "b": 0}, frozenset("ab")))
    await anext(stream)
    await anext(stream)
    while hub.watchers < 2:
        await asyncio.sleep(0)
    for _ in range(50):  # until the queue is full
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await cast(Any, stream).aclose()
    assert hub.watchers == 0
