"""Observation of every request: its trace, a log line, its duration; and the response to a fault of the service.

Plain ASGI, like everything around the application.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.observability import tracing
from service.observability.metrics import Metrics

log = logging.getLogger(__name__)

#: Polled by machines every few seconds: logged at level DEBUG only.
_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
#: nginx' status of a client that closed the connection before the response.
_CLIENT_CLOSED: Final = 499


class RequestObserver:
    """Continues the client's trace or starts one, logs and counts every request, and responds where a bug ends one."""

    def __init__(self, app: ASGIApp, metrics: Metrics, internal_error: Callable[[], ASGIApp]) -> None:
        """`internal_error`: makes the response to a request that ended with an exception."""
        self._app = app
        self._metrics = metrics
        self._internal_error = internal_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        structlog.contextvars.clear_contextvars()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with tracing.span("request", headers) as trace_id:
            scope.setdefault("state", {})["traceresponse"] = tracing.headers()["traceparent"]
            try:
                await self._app(scope, receive, send_and_note_status)
            except ClientDisconnect:
                status = status or _CLIENT_CLOSED
            except Exception:
                log.exception("request failed, trace %s", trace_id)
                if status:  # too late for another response: the server breaks the connection
                    raise
                await self._internal_error()(scope, receive, send_and_note_status)
            finally:
                self._note(scope, status or _CLIENT_CLOSED, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, duration_s: float) -> None:
        method, route = scope["method"], route_of(scope)
        self._metrics.observe(method, route, status, duration_s)
        tracing.describe(f"{method} {route}", {"http.route": route, "http.response.status_code": status})
        fields = {
            "method": method,
            "route": route,
            "status": status,
            "duration_ms": round(duration_s * 1e3, 1),
        }
        log.log(logging.DEBUG if route in _PROBES else logging.INFO, "request", extra=fields)


def route_of(scope: Any) -> str:
    """The path with its parameters' names, as in the reference: few enough to count by. "other" if unknown."""
    return str(getattr(scope.get("route"), "path", None) or "other")
