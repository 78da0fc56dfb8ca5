"""OpenTelemetry, for those who want it: the parts of traces that `service.observability.trace` joins, sent by OTLP."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from service.observability import trace
from service.settings import Settings

log = logging.getLogger(__name__)


def start(settings: Settings, service: str) -> None:
    """Send this process' parts of traces to the collector of the settings; does nothing where none is named.

    What cannot be sent is dropped: no request waits for a collector.
    """
    if not settings.otel_endpoint:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.error("FEWBITS_OTEL_ENDPOINT is set but OpenTelemetry is not there: pip install 'fewbits[otel]'")
        return
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otel_endpoint)))
    trace.record_with(Spans(provider))


class Spans:
    """Notes every part of a trace as a span; its ids are the span's."""

    def __init__(self, provider: object) -> None:
        """`provider` is an OpenTelemetry TracerProvider."""
        self._tracer = provider.get_tracer("fewbits")  # type: ignore[attr-defined]

    @contextmanager
    def part(self, name: str, parent: trace.TraceContext | None) -> Iterator[trace.TraceContext]:
        """A span, until the block ends."""
        from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

        context = None
        if parent is not None:
            sent = SpanContext(
                int(parent.trace_id, 16), int(parent.span_id, 16), True, TraceFlags(parent.flags)
            )
            context = set_span_in_context(NonRecordingSpan(sent))
        with self._tracer.start_as_current_span(name, context=context) as span:
            ids = span.get_span_context()
            yield trace.TraceContext(f"{ids.trace_id:032x}", f"{ids.span_id:016x}", int(ids.trace_flags) & 1)

    def describe(self, name: str, attributes: Mapping[str, str | int]) -> None:
        """Name the span under way."""
        from opentelemetry.trace import get_current_span

        span = get_current_span()
        span.update_name(name)
        span.set_attributes(dict(attributes))
