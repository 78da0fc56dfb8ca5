"""The trace a request, and all that follows from it, belongs to (W3C Trace Context)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

#: The header of requests, and of messages to workers.
HEADER: Final = "traceparent"

_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace: `trace_id` is shared by all of it, `span_id` names this part."""

    trace_id: str
    span_id: str
    flags: int = _SAMPLED

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    def child(self) -> TraceContext:
        """A new part of the same trace."""
        return TraceContext(self.trace_id, secrets.token_hex(8), self.flags)


_current: ContextVar[TraceContext | None] = ContextVar("trace", default=None)


def parse(header: str | None) -> TraceContext | None:
    """What a `traceparent` states; None if it is missing or breaks the standard's rules."""
    found = _FORM.fullmatch(header or "")
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    if not int(found[2], 16) or not int(found[3], 16):
        return None
    return TraceContext(found[2], found[3], int(found[4], 16) & _SAMPLED)


def new() -> TraceContext:
    """The start of a trace."""
    return TraceContext(secrets.token_hex(16), secrets.token_hex(8))


def current() -> TraceContext | None:
    """The trace under way here."""
    return _current.get()


def headers() -> dict[str, str]:
    """What a message carries so that its worker goes on with the trace under way."""
    here = _current.get()
    return {} if here is None else {HEADER: str(here.child())}


class Recorder(Protocol):
    """Takes note of the parts of traces; see `service.observability.telemetry`."""

    def part(self, name: str, parent: TraceContext | None) -> AbstractContextManager[TraceContext]:
        """A new part, of its parent's trace or of a new one, until the block ends."""
        ...

    def describe(self, name: str, attributes: Mapping[str, str | int]) -> None:
        """Say what the part under way turned out to be."""
        ...


class _Nobody:
    """Takes note of nothing: traces are told in logs and answers only."""

    @contextmanager
    def part(self, name: str, parent: TraceContext | None) -> Iterator[TraceContext]:
        """A new part, of its parent's trace or of a new one."""
        yield new() if parent is None else parent.child()

    def describe(self, name: str, attributes: Mapping[str, str | int]) -> None:
        """Nothing."""


_recorder: Recorder = _Nobody()


def record_with(recorder: Recorder | None) -> None:
    """Have this process' parts of traces noted by `recorder`; None: by nobody."""
    global _recorder
    _recorder = recorder or _Nobody()


def describe(name: str, attributes: Mapping[str, str | int]) -> None:
    """Say what the part under way turned out to be."""
    _recorder.describe(name, attributes)


@contextmanager
def joined(carried: Mapping[str, object], name: str) -> Iterator[TraceContext]:
    """Go on with the trace that the headers carry, or start one; log lines inside name it."""
    sent = carried.get(HEADER)
    parent = parse(sent if isinstance(sent, str) else None)
    with _recorder.part(name, parent) as here:
        token = _current.set(here)
        try:
            with structlog.contextvars.bound_contextvars(trace_id=here.trace_id):
                yield here
        finally:
            _current.reset(token)
