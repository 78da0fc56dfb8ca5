"""Clients for tests: synchronous and asynchronous, over ASGI and over a socket, all used the same way."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI

from service.client import AsyncSearchClient, Retry, SearchClient

URL = "http://127.0.0.1:8765"
AT_ONCE = Retry(attempts=4, first_s=0.0)


class Driven:
    """An AsyncSearchClient that is used like a SearchClient: an event loop in another thread runs it."""

    def __init__(self, client: AsyncSearchClient, portal: BlockingPortal) -> None:
        self._client = client
        self._portal = portal

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        return partial(self._run, attribute) if callable(attribute) else attribute

    def _run(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if inspect.isasyncgenfunction(method):
            return self._portal.call(_all, method(*arguments, **options))
        return self._portal.call(partial(_awaited, method, *arguments, **options))


async def _all(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


async def _awaited(method: Callable[..., Awaitable[Any]], *arguments: Any, **options: Any) -> Any:
    return await method(*arguments, **options)


@contextmanager
def asynchronous(make: Callable[[], AsyncSearchClient]) -> Iterator[Any]:
    """The client that `make` makes, driven; closed at the end."""
    with start_blocking_portal() as portal:
        client = Driven(make(), portal)
        yield client
        client.close()


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """The application on a free port of loopback; its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
    listener = config.bind_socket()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


#: Every way a client reaches the service.
WAYS = ("blocking-asgi", "blocking-socket", "asynchronous-asgi", "asynchronous-socket")


@contextmanager
def reaching(way: str, app: FastAPI, testing: Any) -> Iterator[Any]:
    """A client that reaches `app` this way; `testing` is Starlette's client of it."""
    kind, road = way.split("-")
    if road == "socket":
        with served(app) as url:
            if kind == "blocking":
                with SearchClient(url, retry=AT_ONCE) as client:
                    yield client
            else:
                with asynchronous(lambda: AsyncSearchClient(url, retry=AT_ONCE)) as client:
                    yield client
    elif kind == "blocking":
        yield SearchClient(URL, http=testing, retry=AT_ONCE)
    else:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        with asynchronous(
            lambda: AsyncSearchClient(
                URL, retry=AT_ONCE, http=httpx.AsyncClient(transport=transport, base_url=URL)
            )
        ) as client:
            yield client


Handler = Callable[[httpx.Request], httpx.Response]


@contextmanager
def answered(kind: str, handle: Handler, retry: Retry = AT_ONCE) -> Iterator[Any]:
    """A client of a service that is only this function."""
    transport = httpx.MockTransport(handle)
    if kind == "blocking":
        yield SearchClient(retry=retry, http=httpx.Client(base_url="http://service", transport=transport))
        return
    with asynchronous(
        lambda: AsyncSearchClient(
            retry=retry, http=httpx.AsyncClient(base_url="http://service", transport=transport)
        )
    ) as client:
        yield client
