"""A service that a proxy shows below a path: requests lose the prefix, addresses in answers get it."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class PathPrefix:
    """Removes the prefix from the paths of requests, where the proxy has left it, and adds it to `Location`."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if not self._prefix or scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_below(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if headers.get("location", "").startswith("/"):
                    headers["location"] = self._prefix + headers["location"]
            await send(message)

        await self._app(self._without_prefix(scope), receive, send_below)

    def _without_prefix(self, scope: Scope) -> Scope:
        path = scope["path"]
        if path != self._prefix and not path.startswith(f"{self._prefix}/"):
            return scope
        raw = scope.get("raw_path") or path.encode()
        begin = self._prefix.encode()
        short = raw.removeprefix(begin) if raw.startswith(begin) else path.removeprefix(self._prefix).encode()
        return {**scope, "path": path.removeprefix(self._prefix) or "/", "raw_path": short or b"/"}
