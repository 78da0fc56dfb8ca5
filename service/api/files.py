"""Files, whole or in byte ranges."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from fastapi import Request, Response
from fastapi.responses import FileResponse, RedirectResponse, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from service.api.problems import response
from service.api.responses import is_known, not_modified
from service.errors import Malformed, RangeNotSatisfiable, ServiceError
from service.store.blobs import BlobStore

#: One range of bytes; of a number that no file has so many digits of, the file itself says what is wrong.
_ONE_RANGE: Final = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.IGNORECASE)

_REFUSALS: Final[dict[int, type[ServiceError]]] = {400: Malformed, 416: RangeNotSatisfiable}


def stored_file(
    request: Request, blobs: BlobStore, sha256: str, filename: str, missing: ServiceError
) -> Response:
    """The file with this SHA-256, or a byte range of it; its entity tag is the SHA-256. Raises `missing`."""
    etag = f'"{sha256}"'
    if is_known(request, etag):
        return not_modified(etag)
    media_type = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    link = blobs.link(sha256, filename, media_type)
    if link is not None:
        return RedirectResponse(link, 307, {"Cache-Control": "no-store", "ETag": etag})
    answer = partial(
        RangedFile,
        media_type=media_type,
        filename=filename,
        headers={"ETag": etag, "Cache-Control": "no-cache"},
    )
    limits = _one_range(request, etag)
    if limits is not None and not blobs.is_near(sha256):
        size = blobs.size(sha256)
        if size is None:
            raise missing
        return _piece(blobs, sha256, size, limits, answer(Path(filename)).headers)
    path = blobs.path(sha256)
    if not path.is_file():
        raise missing
    return answer(path)


def _one_range(request: Request, etag: str) -> tuple[str, str] | None:
    """First and last byte of the one range that a request asks for, as it states them; None if it asks otherwise."""
    stated = _ONE_RANGE.fullmatch(request.headers.get("range", "").strip())
    if stated is None or request.headers.get("if-range", etag) != etag:
        return None
    first, last = stated.groups()
    return None if not first + last or (first and last and int(first) > int(last)) else (first, last)


def _piece(
    blobs: BlobStore, sha256: str, size: int, limits: tuple[str, str], headers: Mapping[str, str]
) -> Response:
    """A range of content that is stored elsewhere (RFC 9110, section 14), without fetching the rest of it."""
    first, last = limits
    start = int(first) if first else max(size - int(last), 0)
    end = min(int(last) + 1, size) if first and last else size
    if start >= end:
        refusal = response(RangeNotSatisfiable(f"the file has {size} bytes: none of them is in the range"))
        refusal.headers["Content-Range"] = f"bytes */{size}"
        return refusal
    piece = {"Content-Range": f"bytes {start}-{end - 1}/{size}", "Content-Length": str(end - start)}
    chunks = blobs.piece(sha256, start, end)
    begin = next(chunks, b"")  # a bucket that does not answer is known before the answer begins
    return StreamingResponse(chain([begin], chunks), 206, {**headers, **piece})


class RangedFile(FileResponse):
    """A file that supports Range and If-Range; other ranges are refused with a problem document."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, the requested ranges, or a problem document."""
        refused = False

        async def send_or_refuse(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] in _REFUSALS:
                refused = True
                await self._refuse(message, scope, receive, send)
            elif not refused:
                await send(message)

        await super().__call__(scope, receive, send_or_refuse)

    async def _refuse(self, message: Message, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            name.decode(): value.decode() for name, value in message["headers"] if name == b"content-range"
        }
        kind = _REFUSALS[message["status"]]
        requested = dict(scope["headers"]).get(b"range", b"").decode("latin-1")[:100]
        refusal = response(kind(f"Range {requested} cannot be satisfied for this file"))
        refusal.headers.update(headers)
        await refusal(scope, receive, send)
