"""OpenTelemetry: off unless asked for; spans have the ids that logs and answers tell."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.testclient import TestClient

from service.observability import telemetry, trace
from service.settings import Settings
from tests.service.observability.test_trace import SENT, TRACE_ID


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace.record_with(telemetry.Spans(provider))
    yield kept
    trace.record_with(None)
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
    with trace.joined({}, "request") as request:
        message = trace.headers()
    with trace.joined(message, "task") as task:
        pass
    assert request.trace_id == task.trace_id
    assert [span.name for span in spans.get_finished_spans()] == ["request", "task"]


def test_without_an_endpoint_nothing_is_noted(http: TestClient) -> None:
    telemetry.start(Settings(), "fewbits-api")
    with trace.joined({}, "request") as here:
        assert len(here.trace_id) == 32


def test_an_endpoint_starts_it() -> None:
    telemetry.start(Settings(otel_endpoint="http://127.0.0.1:1/v1/traces"), "fewbits-api")
    try:
        assert isinstance(trace._recorder, telemetry.Spans)
    finally:
        trace._recorder._tracer.span_processor.shutdown()
        trace.record_with(None)
