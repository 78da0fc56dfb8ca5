"""Files, whole or in byte ranges."""

from __future__ import annotations

import mimetypes
from typing import Final

from fastapi import Request, Response
from fastapi.responses import FileResponse, RedirectResponse
from starlette.types import Message, Receive, Scope, Send

from service.api.problems import response
from service.api.responses import is_known, not_modified
from service.errors import Malformed, RangeNotSatisfiable, ServiceError
from service.store.blobs import BlobStore

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
    path = blobs.path(sha256)
    if not path.is_file():
        raise missing
    return RangedFile(
        path,
        media_type=media_type,
        filename=filename,
        headers={"ETag": etag, "Cache-Control": "no-cache"},
    )


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
