"""What is noted of every request: its trace, a log line, its duration; and the answer to a fault of the service.

Plain ASGI, like everything that stands around the application.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import internal
from service.observability import trace
from service.observability.metrics import Metrics

log = logging.getLogger(__name__)

#: Asked every few seconds by machines: only worth a line when somebody looks closely.
_QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
#: nginx' number for a client that went away before it was answered.
_WENT_AWAY: Final = 499


class Observed:
    """Joins the caller's trace or starts one, logs and counts every request, and answers 500 where a bug ends one."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        structlog.contextvars.clear_contextvars()
        sent = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with trace.joined(sent, "request") as here:
            scope.setdefault("state", {})["traceresponse"] = str(here)
            try:
                await self._app(scope, receive, send_noting)
            except ClientDisconnect:
                status = status or _WENT_AWAY
            except Exception:
                log.exception("request failed, trace %s", here.trace_id)
                if status:  # too late for another answer: the server breaks the connection
                    raise
                await internal()(scope, receive, send_noting)
            finally:
                self._note(scope, status or _WENT_AWAY, time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, duration_s: float) -> None:
        route = route_of(scope)
        self._metrics.observe(scope["method"], route, status, duration_s)
        told = {
            "method": scope["method"],
            "route": route,
            "status": status,
            "duration_ms": round(duration_s * 1e3, 1),
        }
        trace.describe(
            f"{told['method']} {route}", {"http.route": route, "http.response.status_code": status}
        )
        log.log(logging.DEBUG if route in _QUIET else logging.INFO, "request", extra=told)


def route_of(scope: Any) -> str:
    """The path with its parameters' names, as the reference has it: few enough to count by. "other" if unknown."""
    return str(getattr(scope.get("route"), "path", None) or "other")
