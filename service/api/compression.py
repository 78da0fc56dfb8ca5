"""Compression of answers; what is streamed event by event, or sent in ranges, is left alone. Plain ASGI."""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

#: 1 to 9. Columns of numbers shrink by 5 % more at 5, which takes five times as long as 1.
_LEVEL: Final = 1

#: Bytes below which a packet is not made smaller by compression.
_SMALLEST: Final = 1000

#: Documents of the API. Files of trials, exports and uploads are compressed already, and are fetched in ranges; those
#: of the page are compressed once, by `service.api.static_files`.
_DOCUMENTS: Final = re.compile(r"/v1/(?!.*/(?:artifacts/|content$|file$)).*|/openapi\.json|/metrics")


class Compression:
    """Compresses the API's documents for clients that accept gzip."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressing = GZipMiddleware(app, minimum_size=_SMALLEST, compresslevel=_LEVEL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        is_document = scope["type"] == "http" and _DOCUMENTS.fullmatch(scope["path"]) is not None
        if is_document and "range" not in Headers(scope=scope):
            await self._compressing(scope, receive, send)
        else:
            await self._app(scope, receive, send)
