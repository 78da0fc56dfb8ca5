"""One HTTP connection with limits: what is unfinished ends, before anybody is known and at the cost of nobody else."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

#: Bytes of a request line and its headers.
MAX_HEAD_BYTES: Final = 64 << 10
#: Bytes of an address that httptools reads.
MAX_URL_BYTES: Final = (1 << 16) - 1
#: Seconds in which a request line and its headers arrive.
HEAD_S: Final = 20.0
#: Seconds that a body may pause.
BODY_PAUSE_S: Final = 60.0
#: Bytes a second that a body brings at least, on average, once it has arrived for so many seconds.
BODY_RATE, BODY_GRACE_S = 500.0, 60.0


def _refusal(status: HTTPStatus, detail: str) -> bytes:
    """The whole answer to what is no request, as a problem document; the connection ends with it."""
    document = {
        "type": f"urn:fewbits:problem:{status.name.lower().replace('_', '-')}",
        "title": status.phrase,
        "status": status,
        "detail": detail,
    }
    body = json.dumps(document).encode()
    head = (
        f"HTTP/1.1 {status} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


_TOO_LARGE: Final = _refusal(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"address and headers have more than {MAX_HEAD_BYTES} bytes",
)
_UNREADABLE: Final = _refusal(HTTPStatus.BAD_REQUEST, "this is no HTTP/1.1 request")


class LimitedConnection(HttpToolsProtocol):
    """uvicorn's connection, closed when a request's head is too large or too slow, or its body pauses too long.

    httptools joins a head of any size in memory and waits for it without end.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._in_head = True
        self._in_body = False
        self._head_bytes = 0
        self._body_bytes, self._body_began = 0, 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for the first head."""
        super().connection_made(transport)
        self._wait(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request, or close the connection because there are too many of them."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._timer is None:  # the first bytes after a pause between requests
                self._wait(HEAD_S)
        elif self._in_body:
            self._body_bytes += len(data)
            if self._is_dripping():
                self._stop_waiting()
                self._give_up()
                return
            self._wait(BODY_PAUSE_S)
        super().data_received(data)
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what httptools cannot read, an address of more than 64 KiB among it."""
        self.transport.write(_TOO_LARGE if self._head_bytes > MAX_URL_BYTES else _UNREADABLE)
        self.transport.close()

    def on_headers_complete(self) -> None:
        """The head is there: the body may begin."""
        self._in_head, self._in_body = False, True
        self._body_bytes, self._body_began = 0, self.loop.time()
        self._wait(BODY_PAUSE_S)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is there: what comes next is the head of another one."""
        self._in_head, self._in_body, self._head_bytes = True, False, 0
        self._stop_waiting()
        super().on_message_complete()

    def _is_dripping(self) -> bool:
        """Whether the body arrives so slowly that it only keeps the connection."""
        elapsed_s = self.loop.time() - self._body_began
        return elapsed_s > BODY_GRACE_S and self._body_bytes < BODY_RATE * elapsed_s

    def _wait(self, seconds: float) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()
