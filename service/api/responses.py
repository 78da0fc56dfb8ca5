"""Answers that are the same for many resources: not modified, and what the reference lists as errors."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from fastapi import Request, Response

from service.api.problems import MEDIA_TYPE
from service.schemas.jobs import ProblemDocument

_PROBLEM: Final[dict[str, Any]] = {
    "model": ProblemDocument,
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
}


def problem_responses(**statuses: str) -> dict[int | str, dict[str, Any]]:
    """Errors of a route for the reference: `_404="No such job"`."""
    return {int(status.lstrip("_")): _PROBLEM | {"description": text} for status, text in statuses.items()}


def etag_of(*versions: object) -> str:
    """A weak entity tag: equal where the versions are."""
    text = "|".join(str(version) for version in versions)
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:20]}"'


def is_known(request: Request, etag: str) -> bool:
    """True if the reader has this version already (If-None-Match)."""
    sent = request.headers.get("if-none-match", "")
    return any(tag.strip() in (etag, "*") for tag in sent.split(","))


def not_modified(etag: str) -> Response:
    """The answer to a reader that has this version already."""
    return Response(status_code=304, headers={"ETag": etag, "Cache-Control": "no-cache"})


def mark(response: Response, etag: str) -> None:
    """Name the version in the answer, and have it asked for again at every use."""
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "no-cache"
