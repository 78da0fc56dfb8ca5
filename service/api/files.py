"""Files, whole or in ranges of bytes."""

from __future__ import annotations

from typing import Final

from fastapi.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from service.api.problems import response
from service.errors import Malformed, RangeNotSatisfiable, ServiceError

_REFUSALS: Final[dict[int, type[ServiceError]]] = {400: Malformed, 416: RangeNotSatisfiable}


class RangedFile(FileResponse):
    """A file that honours Range and If-Range; what it cannot honour is refused with a problem document."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, the ranges that are asked for, or why not."""
        refused = False

        async def watched(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] in _REFUSALS:
                refused = True
                await self._refuse(message, scope, receive, send)
            elif not refused:
                await send(message)

        await super().__call__(scope, receive, watched)

    async def _refuse(self, message: Message, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            name.decode(): value.decode() for name, value in message["headers"] if name == b"content-range"
        }
        kind = _REFUSALS[message["status"]]
        asked = dict(scope["headers"]).get(b"range", b"").decode("latin-1")[:100]
        answer = response(kind(f"Range: {asked}: this file cannot be cut so"))
        answer.headers.update(headers)
        await answer(scope, receive, send)
