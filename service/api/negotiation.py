"""Content negotiation: the best available format for an Accept header (RFC 9110 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request

from service.errors import NotAcceptable


def negotiated(request: Request, formats: Sequence[str]) -> str:
    """The best of `formats` for the client, the first of equal ones; NotAcceptable names the formats."""
    accept = request.headers.get("accept", "").strip() or "*/*"
    ranges = [_media_range(part) for part in accept.split(",") if part.strip()]
    quality = {name: _quality(name, ranges) for name in formats}
    best = max(formats, key=lambda name: quality[name])
    if quality[best] <= 0:
        raise NotAcceptable(f"{accept[:100]} is not available; available: {', '.join(formats)}")
    return best


def _media_range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            try:
                quality = min(max(float(value), 0.0), 1.0)
            except ValueError:
                quality = 0.0
    return name.lower(), quality


def _quality(name: str, ranges: Sequence[tuple[str, float]]) -> float:
    """The quality of the most specific media range that includes this format."""
    main = name.partition("/")[0]
    for pattern in (name, f"{main}/*", "*/*"):
        qualities = [quality for media_range, quality in ranges if media_range == pattern]
        if qualities:
            return max(qualities)
    return 0.0
