"""Every error as application/problem+json (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from sqlalchemy.exc import DataError, DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.exceptions import HTTPException
from starlette.responses import Response

from search.errors import InvalidSpec
from service.api.infrastructure import unavailable
from service.errors import (
    IllegalAction,
    InvalidParameter,
    InvalidRequest,
    MethodNotAllowed,
    NoSuchPath,
    QuotaExhausted,
    QuotaReached,
    ServiceError,
)
from service.observability import tracing
from service.schemas.problems import ProblemDocument, ProblemItem
from service.store.session import is_retryable

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

_METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


def install(app: FastAPI) -> None:
    """Make the application respond to every error with a problem document."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(InvalidSpec, _invalid_spec)
    app.add_exception_handler(RequestValidationError, _invalid_query)
    app.add_exception_handler(HTTPException, _http_exception)
    for kind in (DBAPIError, NoConnectionFree, OSError):
        app.add_exception_handler(kind, _infrastructure)


def response(error: ServiceError) -> Response:
    """The response to an error of the service."""
    items: Sequence[ProblemItem] = [
        ProblemItem(pointer=problem.pointer, detail=problem.message) for problem in error.problems
    ]
    if isinstance(error, InvalidParameter):
        items = [ProblemItem(parameter=error.parameter, detail=error.detail)]
    return _render(
        ProblemDocument(
            type=error.type,
            title=error.title,
            status=error.status,
            detail=error.detail,
            quota=error.quota if isinstance(error, QuotaExhausted | QuotaReached) else None,
            allowed=error.allowed if isinstance(error, IllegalAction) else None,
            errors=tuple(items),
        ),
        error.headers,
    )


def _render(document: ProblemDocument, headers: Mapping[str, str] | None = None) -> Response:
    document = document.model_copy(update={"trace_id": tracing.trace_id()})
    body = document.model_dump_json(exclude_none=True, exclude=None if document.errors else {"errors"})
    return Response(body, document.status, dict(headers or {}), media_type=MEDIA_TYPE)


def _service_error(_request: Request, error: Any) -> Response:
    return response(error)


def _invalid_spec(_request: Request, error: Any) -> Response:
    return response(InvalidRequest(error.problems))


def _invalid_query(_request: Request, error: Any) -> Response:
    """Faults that FastAPI finds are in path or query: bodies are parsed by `service.parsing`.

    A path with a parameter that is not valid does not exist.
    """
    if any(fault["loc"][0] == "path" for fault in error.errors()):
        return response(
            NoSuchPath("; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors()))
        )
    items = tuple(
        ProblemItem(parameter=".".join(str(part) for part in fault["loc"][1:]), detail=fault["msg"])
        for fault in error.errors()
    )
    return _render(
        ProblemDocument(
            type=InvalidParameter.type,
            title=InvalidParameter("", "").title,
            status=422,
            detail="; ".join(f"{item.parameter}: {item.detail}" for item in items),
            errors=items,
        )
    )


def _http_exception(request: Request, error: Any) -> Response:
    """Starlette's own errors: paths and methods that do not exist."""
    if error.status_code == HTTPStatus.NOT_FOUND:
        return response(NoSuchPath(f"the service has no path {request.url.path}"))
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_allowed(request))
        detail = f"{request.method} is not allowed for this path; allowed: {allowed or 'nothing'}"
        return response(MethodNotAllowed(detail, {"Allow": allowed}))
    status = HTTPStatus(error.status_code)
    return _render(
        ProblemDocument(
            type=f"urn:fewbits:problem:{status.name.lower().replace('_', '-')}",
            title=status.phrase,
            status=status,
            detail=str(error.detail),
        ),
        error.headers,
    )


def _allowed(request: Request) -> list[str]:
    """The methods of all routes of a path: the router itself names only those of the first.

    A verb (`/v1/jobs/ID:pause`) is a separate path, although `/v1/jobs/{job_id}` matches it too.
    """
    verb = _verb(request.url.path)
    routes = [
        route for route in iter_route_contexts(request.app.routes) if _verb(route.path_format or "") == verb
    ]
    return [
        method
        for method in _METHODS
        if any(
            method in (route.methods or ()) and route.path_regex.fullmatch(request.url.path)
            for route in routes
        )
    ]


def _verb(path: str) -> str:
    return path.rpartition("/")[2].partition(":")[2]


def _infrastructure(_request: Request, error: Exception) -> Response:
    """503 for what passes by itself; anything else is a bug."""
    if isinstance(error, DataError):  # PostgreSQL's integers are shorter than Python's
        return response(
            InvalidRequest((), "a number or text of the request does not fit what it is compared with")
        )
    if not is_retryable(error):
        raise error
    return response(unavailable(error))


def internal() -> Response:
    """The response to a request that a bug ended; only the log has the details."""
    return response(ServiceError("an error in the service; its log has the details under the trace id"))
