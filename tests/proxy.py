"""A TCP proxy that cuts, delays and freezes the connections through it."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Proxy:
    """Forwards connections to a server until it is told otherwise, inside its `with` block."""

    def __init__(self, host: str, port: int, *, at: str = "127.0.0.1") -> None:
        self._server = (host, port)
        self._listener = socket.create_server((at, 0))
        self.port: int = self._listener.getsockname()[1]
        self._flows = threading.Event()
        self._flows.set()
        self._holds = False
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def _start(self, target: Callable[..., None], *arguments: socket.socket) -> None:
        self._threads.append(threading.Thread(target=target, args=arguments, daemon=True))
        self._threads[-1].start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flows.set()
        # a thread in accept() keeps the port open until it is woken
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join()
        for connection in (self._listener, *self._sockets):
            connection.close()

    def cut(self) -> None:
        """Close every connection, as a network or a terminated backend does."""
        for connection in list(self._sockets):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def freeze(self) -> None:
        """Accept connections and bytes, and forward nothing."""
        self._flows.clear()

    def thaw(self) -> None:
        """Forward what came, and go on."""
        self._flows.set()

    @property
    def connections(self) -> int:
        """How many sockets there are, or were."""
        return len(self._sockets)

    def hold(self) -> None:
        """Accept further connections, and connect them to nothing."""
        self._holds = True

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._holds:
                self._sockets.append(client)
                continue
            try:
                server = socket.create_connection(self._server)
            except OSError:  # the server is away: its clients are told so
                client.close()
                continue
            self._sockets += [client, server]
            for source, target in ((client, server), (server, client)):
                self._start(self._forward, source, target)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                target.sendall(data)
        for end in (source, target):  # not close(): the other thread still waits for it
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
