"""Checks of every request: host, origin, size; and the headers of every response.

Plain ASGI: nothing here buffers a body.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import response
from service.errors import Forbidden, Malformed, ServiceError, TooLarge
from service.settings import Settings, in_url

#: Where HEAD tells how much of an upload has arrived, which GET does not.
_OWN_HEAD: Final = re.compile(r"/v1/(?:models|datasets)/[^/]+/content")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
#: Sec-Fetch-Site of requests that no other site's page made.
_OWN_PAGES: Final = frozenset({"same-origin", "none"})
_CONTENT: Final = re.compile(r"/v1/(models|datasets)/[0-9a-f]{16}/content")
#: Bytes of a body with a key: it is read before anybody is known.
_SESSION_LIMIT: Final = 1024
#: What describes networks; no other body has reason to be large.
_DESCRIPTION: Final = re.compile(r"/v1/(jobs|jobs:validate|cost|jobs/[0-9a-f]+:(clone|rescore))")
_SMALL_LIMIT: Final = 64 << 10
_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")

SECURITY_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "worker-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class ResponseHeaders:
    """Adds the security headers to every response, and the headers in `request.state.response_headers`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in (SECURITY_HEADERS | state.get("response_headers", {})).items():
                    headers.setdefault(name, value)
                if "traceresponse" in state:
                    headers.setdefault("traceresponse", state["traceresponse"])
            await send(message)

        await self._app(scope, receive, send_with_headers)


class HeadRequests:
    """Answers HEAD as GET without its body; a stream ends after its headers. Uploads answer HEAD themselves."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["method"] != "HEAD" or _OWN_HEAD.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_head(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                await send(message)
            elif not begun:
                begun = True
                await send({"type": "http.response.body", "body": b""})

        async def receive_head() -> Message:
            return {"type": "http.disconnect"} if begun else await receive()

        await self._app({**scope, "method": "GET"}, receive_head, send_head)


class RequestGuard:
    """Refuses unknown hosts, writes by pages of other sites, and bodies that are too large.

    The host check prevents DNS rebinding, which makes any web page a client of a service on loopback.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._hosts = allowed_hosts(settings)
        self._limit = settings.max_body_bytes
        self._upload_limit = settings.max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_of(scope)
        refusal = self._refusal(scope["method"], Headers(scope=scope), limit)
        if refusal is not None:
            await response(refusal)(scope, receive, send)
            return
        await self._app(scope, _counted(receive, limit), send)

    def _limit_of(self, scope: Scope) -> int:
        """Bytes that a request may send: a whole file, a job, or, before anybody is known, a key."""
        if _is_upload(scope):
            return self._upload_limit
        if scope["path"] == "/v1/session":
            return min(_SESSION_LIMIT, self._limit)
        is_description = _DESCRIPTION.fullmatch(scope["path"]) is not None
        return self._limit if is_description else min(_SMALL_LIMIT, self._limit)

    def _refusal(self, method: str, headers: Headers, limit: int) -> ServiceError | None:
        host = headers.get("host", "")
        if not _is_allowed(_name_of(host), self._hosts):
            return Malformed("the Host header is not one of this service's hosts (FEWBITS_ALLOWED_HOSTS)")
        origin = headers.get("origin")
        if method not in _SAFE and not _is_own_page(origin, host, headers.get("sec-fetch-site")):
            return Forbidden("pages of other sites may not change anything")
        declared = headers.get("content-length", "0")
        if not (declared.isascii() and declared.isdigit()):
            return Malformed("Content-Length is not a number")
        if len(declared) > 18 or int(declared) > limit:
            return TooLarge(f"the body is larger than the limit of {limit} bytes")
        return None


def _is_own_page(origin: str | None, host: str, site: str | None) -> bool:
    """Whether a write comes from a page of this service, or from no page.

    A proxy may pass the host without its port (nginx's `$host`); then the browser's word counts that it is the same.
    """
    if (site or "none") not in _OWN_PAGES:
        return False
    if origin is None or origin.partition("://")[2] == host:
        return True
    return site == "same-origin" and _name_of(origin.partition("://")[2]) == host.lower()


def _is_upload(scope: Scope) -> bool:
    """True for the bytes of a model or data set: they are written to disk as they arrive."""
    return scope["method"] in ("PUT", "PATCH") and _CONTENT.fullmatch(scope["path"]) is not None


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """The allowed Host names, in lower case; "*" allows any."""
    named = [name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()]
    return frozenset(named or (*_LOOPBACK, in_url(settings.host.lower())))


def _name_of(host: str) -> str:
    """A Host header without its port."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and (port.isdigit() or not port) else host.lower()


def _is_allowed(name: str, allowed: frozenset[str]) -> bool:
    return (
        "*" in allowed
        or name in allowed
        or any(pattern.startswith("*.") and name.endswith(pattern[1:]) for pattern in allowed)
    )


def _counted(receive: Receive, limit: int) -> Receive:
    """`receive` that raises TooLarge after more than `limit` bytes: chunked bodies declare no length."""
    received = 0

    async def receive_counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise TooLarge(f"the body is larger than the limit of {limit} bytes")
        return message

    return receive_counted
