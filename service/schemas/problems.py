"""Errors as responses (RFC 9457)."""

from __future__ import annotations

from pydantic import Field

from service.schemas.jobs import View


class ProblemItem(View):
    """One fault. `pointer` (RFC 6901) is a place in the request's body, `parameter` a part of its query or path."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class ProblemDocument(View):
    """An error (RFC 9457)."""

    type: str = Field("about:blank", description="kind of error; stable")
    title: str
    status: int
    detail: str = ""
    trace_id: str | None = Field(None, description="id of this request in the service's log")
    quota: str | None = Field(None, description="the quota of the tenant that was exceeded")
    allowed: tuple[str, ...] | None = Field(None, description="the verbs that the status of the job allows")
    errors: tuple[ProblemItem, ...] = ()
