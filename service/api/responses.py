"""Parts of responses: entity tags, 304, and the errors that the reference lists."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from fastapi import Request, Response

from service.api.problems import MEDIA_TYPE
from service.schemas.problems import ProblemDocument

_PROBLEM: Final[dict[str, Any]] = {
    "model": ProblemDocument,
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
}


def problem_responses(**statuses: str) -> dict[int | str, dict[str, Any]]:
    """Errors of a route for the reference: `_404="No such job"`."""
    return {int(status.lstrip("_")): _PROBLEM | {"description": text} for status, text in statuses.items()}


def etag_of(*versions: object) -> str:
    """A weak entity tag: equal for equal versions."""
    text = "|".join(str(version) for version in versions)
    return f'W/"{hashlib.sha256(text.encode()).hexdigest()[:20]}"'


def is_known(request: Request, etag: str) -> bool:
    """True if the client has this version (If-None-Match). Weakly compared: proxies that compress weaken tags."""
    sent = (tag.strip() for tag in request.headers.get("if-none-match", "").split(","))
    return any(tag == "*" or tag.removeprefix("W/") == etag.removeprefix("W/") for tag in sent)


def not_modified(etag: str) -> Response:
    """The response to a client that has this version."""
    return Response(status_code=304, headers={"ETag": etag, "Cache-Control": "no-cache"})


def json_response(body: bytes) -> Response:
    """A response with a document that is JSON already."""
    return Response(body, media_type="application/json")


def mark(response: Response, etag: str) -> None:
    """Set the entity tag, and make clients revalidate at every use."""
    response.headers["ETag"] = etag
    response.headers["Cache-Control"] = "no-cache"
