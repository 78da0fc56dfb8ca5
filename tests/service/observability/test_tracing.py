"""Traces: a request continues one or starts one, responses name it, and the worker its message wakes continues it."""

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

from service.observability import tracing
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
def test_every_traceparent_of_the_standard_is_continued(
    trace_id: int, span_id: int, flags: int, version: str
) -> None:
    header = f"{version}-{trace_id:032x}-{span_id:016x}-{flags:02x}"
    with tracing.span("request", {"traceparent": header}) as continued:
        sent = tracing.headers()["traceparent"].split("-")
    assert int(continued, 16) == trace_id
    assert (sent[1], int(sent[3], 16)) == (continued, flags)
    assert int(sent[2], 16) not in {span_id, 0}


def test_the_state_of_a_trace_is_passed_on() -> None:
    with tracing.span("request", {"traceparent": SENT, "tracestate": "vendor=value"}):
        assert tracing.headers()["tracestate"] == "vendor=value"


@pytest.mark.parametrize("header", [None, 7, ["00"], b"00", {"a": 1}])
def test_headers_of_a_message_may_be_anything(header: object) -> None:
    with tracing.span("task", {"traceparent": header, "tracestate": header}) as trace_id:
        assert len(trace_id) == 32


def test_outside_of_a_trace_nothing_is_named() -> None:
    assert tracing.trace_id() is None
    assert tracing.headers() == {}


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
        SENT + "\n\n",
    ],
)
def test_what_breaks_the_standard_starts_a_new_trace(header: str | None) -> None:
    with tracing.span("request", {"traceparent": header}) as trace_id:
        sent = tracing.headers()["traceparent"]
    assert trace_id not in {TRACE_ID, TRACE_ID.upper(), "0" * 32}
    assert sent.startswith(f"00-{trace_id}-")
    assert sent.endswith("-01")


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
    _, trace_id, span_id, _ = message["headers"]["traceparent"].split("-")
    assert trace_id == TRACE_ID
    assert span_id != SENT.split("-")[2]


def test_a_task_continues_the_trace_and_names_its_job_in_the_log() -> None:
    app = Celery("test", broker="memory://")
    app.Task = TracedTask
    seen: list[dict[str, Any]] = []

    @app.task(name=TaskName.ADVANCE_JOB.value)
    def advance_job(job_id: str) -> None:
        seen.append({**structlog.contextvars.get_contextvars(), "sent on": tracing.headers()})

    advance_job.apply(("0123456789abcdef",), headers={"traceparent": SENT})
    advance_job.apply(("0123456789abcdef",))
    continued, started = seen
    assert continued["trace_id"] == TRACE_ID
    assert continued["job"] == "0123456789abcdef"
    assert continued["task"] == "fewbits.advance_job"
    assert continued["sent on"]["traceparent"].split("-")[1] == TRACE_ID
    assert started["trace_id"] not in {TRACE_ID, ""}
    assert structlog.contextvars.get_contextvars() == {}
    app.close()
