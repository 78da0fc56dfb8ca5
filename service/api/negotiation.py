"""Which of the formats we have the reader wants (the Accept header, RFC 9110 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request

from service.errors import NotAcceptable


def chosen(request: Request, formats: Sequence[str]) -> str:
    """The best of `formats` for the reader, the first of equals; NotAcceptable names what there is."""
    accept = request.headers.get("accept", "").strip() or "*/*"
    wishes = [_wish(part) for part in accept.split(",") if part.strip()]
    quality = {name: _quality(name, wishes) for name in formats}
    best = max(formats, key=lambda name: quality[name])
    if quality[best] <= 0:
        raise NotAcceptable(f"there is no {accept[:100]}; there is {', '.join(formats)}")
    return best


def _wish(part: str) -> tuple[str, float]:
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


def _quality(name: str, wishes: Sequence[tuple[str, float]]) -> float:
    """The quality of the most specific wish that names this format."""
    main = name.partition("/")[0]
    for pattern in (name, f"{main}/*", "*/*"):
        found = [quality for wished, quality in wishes if wished == pattern]
        if found:
            return max(found)
    return 0.0
