"""Traces: a request's is joined or started, told in every answer, and goes on in the worker that its message wakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import structlog
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from service.observability import trace
from service.queue import TaskName
from worker.app import TracedTask

SENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE_ID = SENT.split("-")[1]


@given(
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.integers(0, 255),
    st.sampled_from(["00", "01", "cc"]),
)
def test_every_traceparent_of_the_standard_is_understood(
    trace_id: int, span_id: int, flags: int, version: str
) -> None:
    found = trace.parse(f"{version}-{trace_id:032x}-{span_id:016x}-{flags:02x}")
    assert found is not None
    assert (int(found.trace_id, 16), int(found.span_id, 16), found.flags) == (trace_id, span_id, flags & 1)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "x",
        SENT.upper(),
        SENT.replace("00-4", "ff-4"),
        SENT + "-more",
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        SENT + "\n",
    ],
)
def test_what_breaks_the_standard_is_not_joined(header: str | None) -> None:
    assert trace.parse(header) is None


def test_an_error_names_the_trace_the_request_belongs_to(http: TestClient) -> None:
    answer = http.get("/v1/jobs/0123456789abcdef", headers={"traceparent": SENT})
    assert answer.json()["trace_id"] == TRACE_ID
    assert answer.headers["traceresponse"].split("-")[1] == TRACE_ID


def test_a_request_without_a_trace_starts_one(http: TestClient) -> None:
    first, second = (http.get("/v1/nothing").json()["trace_id"] for _ in range(2))
    assert first != second
    assert len(first) == 32


def test_a_message_carries_the_trace_of_its_request(
    http: TestClient, job: dict[str, Any], messages: Path
) -> None:
    assert http.post("/v1/jobs", json=job, headers={"traceparent": SENT}).status_code == 202
    (message,) = (json.loads(path.read_text()) for path in messages.iterdir())
    carried = trace.parse(message["headers"]["traceparent"])
    assert carried is not None
    assert carried.trace_id == TRACE_ID
    assert carried.span_id != SENT.split("-")[2]


def test_a_task_goes_on_with_the_trace_and_names_its_job_in_the_log() -> None:
    app = Celery("test", broker="memory://")
    app.Task = TracedTask
    seen: list[dict[str, Any]] = []

    @app.task(name=TaskName.ADVANCE_JOB.value)
    def advance_job(job_id: str) -> None:
        seen.append({**structlog.contextvars.get_contextvars(), "sent on": trace.headers()})

    advance_job.apply(("0123456789abcdef",), headers={"traceparent": SENT})
    advance_job.apply(("0123456789abcdef",))
    joined, started = seen
    assert joined["trace_id"] == TRACE_ID
    assert joined["job"] == "0123456789abcdef"
    assert joined["task"] == "fewbits.advance_job"
    assert joined["sent on"]["traceparent"].split("-")[1] == TRACE_ID
    assert started["trace_id"] not in {TRACE_ID, ""}
    assert structlog.contextvars.get_contextvars() == {}
    app.close()
