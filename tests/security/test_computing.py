"""Requests that compute: in turns, in processes, within limits of memory and processor time; others never notice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest
from fastapi import FastAPI

from search.errors import Problem
from service import errors
from service.api import compute
from service.api.compute import ComputeProcesses, ComputeSlots
from service.app import create_app
from service.errors import InvalidParameter, InvalidRequest, ServiceError, TooLarge, Unavailable
from service.processes.limited import Template
from service.settings import Settings
from tests.security.loops import in_loop
from tests.service.conftest import URL, TestClient

# --- turns -------------------------------------------------------------------------------------------------------


@in_loop
async def test_two_requests_compute_at_once_and_the_next_takes_over() -> None:
    slots = ComputeSlots()
    async with AsyncExitStack() as second, AsyncExitStack() as first:
        await first.enter_async_context(slots.turn())
        await second.enter_async_context(slots.turn())
        third = asyncio.create_task(slots.turn().__aenter__())
        await asyncio.sleep(0)
        assert not third.done()
        await first.aclose()
        await third


def test_a_tenant_cannot_take_the_places_of_others() -> None:
    slots = ComputeSlots()
    with ExitStack() as stack:
        for _ in range(compute.MAX_OF_TENANT):
            stack.enter_context(slots.entered("a"))
        with pytest.raises(Unavailable) as refused, slots.entered("a"):
            pass
        assert refused.value.headers["Retry-After"]
        with slots.entered("b"):
            pass
    with slots.entered("a"):
        pass


@in_loop
async def test_who_waits_in_vain_is_told_when_to_come_again() -> None:
    slots = ComputeSlots(slots=1, patience_s=0.0)
    async with slots.turn():
        with pytest.raises(Unavailable):
            await slots.turn().__aenter__()
    async with slots.turn():
        pass


@in_loop
async def test_others_are_answered_while_every_slot_computes_and_bodies_arrive_slowly(app: FastAPI) -> None:
    """No clock: the computations end only after the others were answered."""
    app.state.compute_slots = ComputeSlots(slots=1)
    transport = httpx.ASGITransport(app=app)
    arrives = asyncio.Event()

    async def slow() -> Any:
        yield b"{"
        await arrives.wait()
        yield b"}"

    async with httpx.AsyncClient(transport=transport, base_url=URL) as client, AsyncExitStack() as stack:
        head = {"content-type": "application/json"}
        dripping = [
            asyncio.create_task(client.post("/v1/cost", content=slow(), headers=head)) for _ in range(5)
        ]
        await asyncio.sleep(0)
        assert (await client.post("/v1/cost", json={"model": "jet_mlp"})).status_code == 200
        await stack.enter_async_context(app.state.compute_slots.turn())
        computing = [
            asyncio.create_task(client.post("/v1/cost", json={"model": "jet_mlp"})) for _ in range(5)
        ]
        for path in ("/healthz", "/v1/jobs", "/v1/profiles"):
            assert (await client.get(path)).status_code == 200
        assert not any(task.done() for task in (*computing, *dripping))
        await stack.aclose()
        assert [task.status_code for task in await asyncio.gather(*computing)] == [200] * 5
        arrives.set()
        assert [task.status_code for task in await asyncio.gather(*dripping)] == [422] * 5


# --- processes ---------------------------------------------------------------------------------------------------


@pytest.fixture
def computing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, importable_tests: None
) -> Iterator[TestClient]:
    """The service, whose requests are computed by processes that do what a test asks for, too."""
    monkeypatch.setattr(compute, "MODULE", "tests.security.computing_module")
    limited = settings.model_copy(
        update={"compute_processes": 1, "request_cpu": timedelta(seconds=3), "request_memory_mb": 400}
    )
    with TestClient(create_app(limited), base_url=URL, raise_server_exceptions=False) as client:
        yield client


def test_requests_are_computed_within_their_limits(computing: TestClient, job: dict[str, Any]) -> None:
    plain = computing.post("/v1/cost", json={"model": "jet_mlp"})
    assert plain.status_code == 200
    assert computing.post("/v1/jobs:validate", json=job).json()["space_size"]
    submitted = computing.post("/v1/jobs", json=job, headers={"Idempotency-Key": "once"})
    assert submitted.status_code == 202
    assert (
        computing.post("/v1/jobs", json=job, headers={"Idempotency-Key": "once"}).json() == submitted.json()
    )
    for misbehaviour, status in (
        ("spin", 413),
        ("hoard", 413),
        ("allocate", 413),
        ("die", 503),
        ("raise", 500),
    ):
        answer = computing.post("/v1/cost", json={"model": misbehaviour})
        assert answer.status_code == status, misbehaviour
        assert ("retry-after" in answer.headers) == (status == 503)
        assert answer.json()["detail"]
        assert computing.post("/v1/cost", json={"model": "jet_mlp"}).content == plain.content


def test_faults_are_the_same_in_a_process(
    computing: TestClient, http: TestClient, job: dict[str, Any]
) -> None:
    job["limits"] = {"by_class": {"Dense": 99, "Nothing": 4}}
    for path, body in (
        ("/v1/jobs:validate", job),
        ("/v1/jobs", job),
        ("/v1/cost", {"model": "none"}),
        ("/v1/cost", [[]]),
        ("/v1/jobs/0123456789abcdef:rescore", {"goal": {"kind": "bits"}}),
    ):
        answers = [client.post(path, json=body) for client in (computing, http)]
        documents = [answer.json() | {"trace_id": ""} for answer in answers]
        assert documents[0] == documents[1]
        assert answers[0].status_code == answers[1].status_code >= 400


@pytest.mark.parametrize(
    "error",
    [
        TooLarge("a lot"),
        InvalidRequest([Problem("/a", "b"), Problem("", "c")], "detail"),
        InvalidParameter("cursor", "odd"),
        errors.IllegalAction("pause", "it ended", ["clone"]),
        errors.QuotaReached("trials", "wait"),
        errors.WrongOffset(7),
        errors.IdempotencyKeyReused(),
        errors.Unauthorized(),
    ],
)
def test_an_error_is_the_same_in_another_process(error: ServiceError) -> None:
    copy = errors.from_document(json.loads(json.dumps(errors.as_document(error))))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == {**vars(error), "problems": tuple(error.problems)} if error.problems else vars(error)


def test_an_idle_process_that_has_died_is_replaced(settings: Settings) -> None:
    processes = ComputeProcesses(settings)
    dead, alive = MagicMock(memory_bytes=0), MagicMock(memory_bytes=1 << 20)
    alive.receive.return_value = ({}, b"answer")
    processes._template = MagicMock(spec=Template)
    processes._template.fork.return_value = alive
    processes._idle.append(dead)
    assert processes.run(MagicMock(), "local", "cost", b"{}") == b"answer"
    dead.end.assert_called_once()
    assert list(processes._idle) == [alive]


def test_a_service_computes_in_processes_unless_it_is_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FEWBITS_COMPUTE_PROCESSES")
    assert Settings(home=tmp_path).compute_processes == 2
