"""`fewbits serve`, `worker` and `migrate`: the commands that are the service instead of asking it."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

import uvicorn

from search.process import without_collections
from service.auth import keys
from service.cli.supervisor import Supervisor
from service.observability import logs, tracing
from service.settings import Settings
from service.store import workers
from service.store.migrate import upgrade
from service.store.session import Database

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)

_MAX_WORKERS: Final = 4


def serve_here(*, host: str | None, port: int | None, workers: int | None) -> None:
    """Serve until told to stop; `workers` = 0 runs none, None picks their number. Exit code 1 if the port is taken."""
    given = {"host": host, "port": port}
    settings = Settings().model_copy(
        update={name: value for name, value in given.items() if value is not None}
    )
    logs.configure(settings)
    tracing.export(settings, "fewbits-api")
    settings.home.mkdir(parents=True, exist_ok=True)
    migrate_database(settings)
    _refuse_without_keys(settings)
    config = uvicorn.Config(
        lambda: _application(settings),
        factory=True,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    listener = _listen(config)
    address = f"http://{settings.host}:{listener.getsockname()[1]}"
    log.info("fewbits is at %s, its files are in %s", address, settings.home)
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        if workers != 0:  # first: it takes seconds to start, and the application is imported meanwhile
            stack.enter_context(Supervisor(worker_command(workers, beat=True)))
        uvicorn.Server(config).run(sockets=[listener])


def _application(settings: Settings) -> FastAPI:
    with without_collections():
        from service.app import create_app
    app = create_app(settings)
    _spare_collections()
    return app


def _refuse_without_keys(settings: Settings) -> None:
    """Exit code 1 if others could reach the service and nobody has a key."""
    if settings.is_on_loopback:
        return
    database = Database(settings.database)
    try:
        with database.reading() as session:
            has_keys = keys.any_valid(session)
    finally:
        database.dispose()
    if not has_keys:
        log.error(
            "refusing to listen on %s without keys: whoever reaches this address could use the service. "
            "Make one first, `fewbits keys create NAME --scope admin`, or listen on 127.0.0.1",
            settings.host,
        )
        raise SystemExit(1)


def _listen(config: uvicorn.Config) -> socket.socket:
    """A socket that takes connections; exit code 1 if the port is taken, which uvicorn has said by then.

    It listens before the address is said: who connects at once waits for the server instead of being refused.
    """
    try:
        listener = config.bind_socket()
        listener.listen(config.backlog)
        return listener
    except SystemExit:
        log.error("cannot listen on %s port %s; choose another one with --port", config.host, config.port)
        raise SystemExit(1) from None


def _spare_collections() -> None:
    """Have the garbage collector pass over what lives as long as the process, and look less often.

    An answer of 50,000 rows makes so many tuples, none of them garbage: looking for some took longer than the answer.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    """uvicorn raises SIGTERM again once it has closed; this lets the worker be stopped before the process ends."""
    raise SystemExit(0)


def worker_command(workers: int | None, *, beat: bool) -> list[str]:
    """How a worker that trains `workers` trials at once is started; None: one a core, at most four."""
    count = workers or min(os.cpu_count() or 1, _MAX_WORKERS)
    return [sys.executable, "-m", "worker", "--concurrency", str(count), *(["--beat"] if beat else [])]


def become_worker(workers: int | None, *, beat: bool) -> NoReturn:
    """Turn this process into a worker."""
    command = worker_command(workers, beat=beat)
    os.execv(command[0], command)


def migrate_database(settings: Settings | None = None) -> None:
    """Bring the database to the newest schema."""
    database = Database((settings or Settings()).database)
    try:
        upgrade(database.engine)
    finally:
        database.dispose()


def check_worker() -> None:
    """Exit code 1 unless a live worker reported recently; for the health checks of containers."""
    settings = Settings()
    database = Database(settings.database)
    try:
        with database.reading() as session:
            is_alive = workers.alive(session, settings.heartbeat) > 0
    finally:
        database.dispose()
    if not is_alive:
        print("no worker has reported recently; start one with `fewbits worker`", file=sys.stderr)
        raise SystemExit(1)
