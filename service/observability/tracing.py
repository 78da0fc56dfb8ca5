"""The trace that a request, and everything that follows from it, belongs to: W3C Trace Context by OpenTelemetry.

Log lines, problem documents and messages name the trace whether or not spans are exported: without a collector a span
has ids and records nothing. The provider is not made OpenTelemetry's global one, because FastAPI would then add a
second span to each request.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    TraceFlags,
    Tracer,
    TracerProvider,
    format_trace_id,
    get_current_span,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider as ExportingProvider

log = logging.getLogger(__name__)

_PROPAGATOR: Final = TraceContextTextMapPropagator()
_HEADERS: Final = ("traceparent", "tracestate")

_tracer: Tracer | None = None


@contextmanager
def span(name: str, headers: Mapping[str, object]) -> Iterator[str]:
    """A span of the trace that the headers (lower-case names) carry, or of a new one; yields the trace's id.

    Log lines inside the block name the trace.
    """
    carrier = {key: value for key in _HEADERS if isinstance(value := headers.get(key), str)}
    parent = _PROPAGATOR.extract(carrier)
    new = _unrecorded(parent) if _tracer is None else _tracer.start_span(name, parent)
    trace = format_trace_id(new.get_span_context().trace_id)
    with use_span(new, end_on_exit=True), structlog.contextvars.bound_contextvars(trace_id=trace):
        yield trace


@contextmanager
def continued(headers: Mapping[str, object]) -> Iterator[None]:
    """The trace that the headers carry, without a span of its own: another process has that of the task."""
    carrier = {key: value for key in _HEADERS if isinstance(value := headers.get(key), str)}
    above = get_current_span(_PROPAGATOR.extract(carrier))
    names = {"trace_id": format_trace_id(above.get_span_context().trace_id)} if carrier else {}
    with use_span(above, end_on_exit=False), structlog.contextvars.bound_contextvars(**names):
        yield


def _unrecorded(parent: Context) -> Span:
    """A span with an id of its own; OpenTelemetry's no-op tracer would repeat its parent's, or have none."""
    above = get_current_span(parent).get_span_context()
    if not above.is_valid:
        above = SpanContext(secrets.randbits(128), 0, False, TraceFlags(TraceFlags.SAMPLED))
    return NonRecordingSpan(
        SpanContext(above.trace_id, secrets.randbits(64), False, above.trace_flags, above.trace_state)
    )


def describe(name: str, attributes: Mapping[str, str | int]) -> None:
    """Rename the current span, and add attributes to it."""
    current = get_current_span()
    current.update_name(name)
    current.set_attributes(dict(attributes))


def trace_id() -> str | None:
    """The id of the current trace, 32 hexadecimal digits; None outside of any."""
    current = get_current_span().get_span_context()
    return format_trace_id(current.trace_id) if current.is_valid else None


def headers() -> dict[str, str]:
    """What a message carries so that its receiver continues the current trace; empty outside of any."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier


def record_with(provider: TracerProvider | None) -> None:
    """Create this process' spans by a provider; None: spans record nothing."""
    global _tracer
    _tracer = None if provider is None else provider.get_tracer("fewbits")


def export(settings: Settings, service: str) -> ExportingProvider | None:
    """Send this process' spans to the settings' collector, by OTLP over HTTP; None if there is none.

    Spans that cannot be sent are dropped: no request waits for a collector.
    """
    if not settings.otel_endpoint:
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.error(
            "FEWBITS_OTEL_ENDPOINT is set, but the OpenTelemetry SDK is missing: pip install 'fewbits[otel]'"
        )
        return None
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otel_endpoint)))
    record_with(provider)
    return provider
