"""Export of spans: off unless configured; spans have the ids that logs and responses name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import get_current_span
from starlette.testclient import TestClient

from service.observability import tracing
from service.settings import Settings
from tests.service.observability.test_tracing import SENT, TRACE_ID


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.record_with(provider)
    yield exporter
    tracing.record_with(None)
    provider.shutdown()


def test_a_request_is_a_span_of_its_caller_s_trace(http: TestClient, spans: InMemorySpanExporter) -> None:
    answer = http.get("/v1/jobs/0123456789abcdef", headers={"traceparent": SENT})
    (span,) = spans.get_finished_spans()
    assert span.name == "GET /v1/jobs/{job_id}"
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 404
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACE_ID == answer.json()["trace_id"]
    assert f"{span.context.span_id:016x}" == answer.headers["traceresponse"].split("-")[2]
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == SENT.split("-")[2]


def test_a_request_without_a_trace_starts_one(http: TestClient, spans: InMemorySpanExporter) -> None:
    answer = http.get("/healthz")
    (span,) = spans.get_finished_spans()
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == answer.headers["traceresponse"].split("-")[1]


def test_what_follows_is_a_part_of_the_same_trace(spans: InMemorySpanExporter) -> None:
    with tracing.span("request", {}) as request_trace:
        message = tracing.headers()
    with tracing.span("task", message) as task_trace:
        pass
    assert request_trace == task_trace
    request, task = spans.get_finished_spans()
    assert (request.name, task.name) == ("request", "task")
    assert request.context is not None
    assert task.parent is not None
    assert task.parent.span_id == request.context.span_id


def test_without_an_endpoint_nothing_is_recorded() -> None:
    assert tracing.export(Settings(), "fewbits-api") is None
    with tracing.span("request", {}) as trace_id:
        assert len(trace_id) == 32
        assert not get_current_span().is_recording()


def test_with_an_endpoint_spans_are_recorded() -> None:
    provider = tracing.export(Settings(otel_endpoint="http://127.0.0.1:1/v1/traces"), "fewbits-api")
    try:
        assert provider is not None
        assert provider.resource.attributes["service.name"] == "fewbits-api"
        span = tracing._tracer.start_span("request")  # type: ignore[union-attr]
        assert span.is_recording()
    finally:
        tracing.record_with(None)
        if provider is not None:
            provider.shutdown()


def test_the_sdk_is_not_loaded_before_it_is_configured() -> None:
    code = "import sys, service.app, service.cli.serving; print([n for n in sys.modules if 'opentelemetry.sdk' in n])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
