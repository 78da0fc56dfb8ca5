"""`fewbits serve`, `worker` and `migrate`: the commands that run parts of the service."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Final, NoReturn

import uvicorn

from search.installation import cannot_train, module_command
from search.process import keep_private, without_collections
from service.api.connection import LimitedConnection
from service.auth import keys
from service.cli.supervisor import Supervisor
from service.observability import logs, tracing
from service.settings import Settings, in_url
from service.store.migrate import schema_fault, upgrade
from service.store.session import Database
from service.store.waiting import without_worker

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger(__name__)

_MAX_WORKERS: Final = 4


def serve_here(*, host: str | None, port: int | None, workers: int | None) -> None:
    """Serve until a signal ends the process. Exit code 1 if the port is taken.

    `workers`: trials that the worker trains at once; 0: no worker; None: as `worker_command` chooses.
    """
    options = {"host": None if host is None else host.strip().strip("[]"), "port": port}
    settings = Settings().model_copy(
        update={name: value for name, value in options.items() if value is not None}
    )
    keep_private()
    logs.configure(settings)
    tracing.export(settings, "fewbits-api")
    settings.home.mkdir(parents=True, exist_ok=True)
    migrate_database(settings)
    _refuse_without_keys(settings)
    ends: list[Callable[[], None]] = []
    config = uvicorn.Config(
        lambda: _application(settings, ends),
        factory=True,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
        limit_concurrency=settings.max_connections,
        forwarded_allow_ips=settings.trusted_proxies,
        http=LimitedConnection,
    )
    listener = _listen(config)
    address = f"http://{in_url(settings.host)}:{listener.getsockname()[1]}"
    log.info("fewbits is at %s, its files are in %s", address, settings.home)
    signal.signal(signal.SIGTERM, _exit)
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        if workers != 0 and not _is_warned_of_a_plain_installation():
            # first: it takes seconds to start, and the application is imported meanwhile
            command = worker_command(workers)
            supervisor = stack.enter_context(Supervisor(command, logs_output=logs.is_json(settings)))
            ends.append(supervisor.begin_stop)
        _Server(config, ends).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Tells the worker and open streams to end when it begins to shut down, not after it."""

    def __init__(self, config: uvicorn.Config, ends: Sequence[Callable[[], None]]) -> None:
        super().__init__(config)
        self._ends = ends

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Complete what is open, and close."""
        for end in self._ends:
            end()
        await super().shutdown(sockets)


def _application(settings: Settings, ends: list[Callable[[], None]]) -> FastAPI:
    with without_collections():
        from service.app import create_app
    app = create_app(settings)
    ends.append(app.state.events.close)
    _limit_collections()
    return app


def _refuse_without_keys(settings: Settings) -> None:
    """Exit code 1 if other machines can reach the service and no key exists."""
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
            "refusing to listen on %s without keys: anyone who can reach this address could use the service. "
            "Create a key first, `fewbits keys create NAME --scope admin`, or listen on 127.0.0.1",
            settings.host,
        )
        raise SystemExit(1)


def _is_warned_of_a_plain_installation() -> bool:
    """Whether no worker can be started here, which is logged with the remedy."""
    reason = cannot_train()
    if reason is not None:
        log.error(
            "%s, or start workers on other machines. Until a worker runs, jobs wait; --no-worker: serve without one",
            reason,
        )
    return reason is not None


def _listen(config: uvicorn.Config) -> socket.socket:
    """A listening socket. Exit code 1 if the port is taken; uvicorn has logged the reason by then.

    It listens before the address is logged: a client that connects at once waits for the server and is not refused.
    """
    try:
        listener = config.bind_socket()
        listener.listen(config.backlog)
        return listener
    except SystemExit:
        log.error("cannot listen on %s port %s; choose another one with --port", config.host, config.port)
        raise SystemExit(1) from None


def _limit_collections() -> None:
    """Exclude the objects of the start from garbage collection, and collect less often.

    An answer of 50,000 rows allocates as many tuples, none of them garbage: collecting took longer than answering.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _exit(_signal: int, _frame: FrameType | None) -> NoReturn:
    """Lets the worker be stopped before the process ends: uvicorn raises SIGTERM again once it has closed."""
    raise SystemExit(0)


def worker_command(workers: int | None) -> list[str]:
    """The command that starts a worker for `workers` trials at once; None: one for each CPU core, at most four."""
    count = workers or min(os.cpu_count() or 1, _MAX_WORKERS)
    return module_command("worker", "--concurrency", str(count))


def become_worker(workers: int | None) -> NoReturn:
    """Turn this process into a worker. Exit code 1 if this installation cannot run one."""
    if reason := cannot_train():
        print(reason, file=sys.stderr)
        raise SystemExit(1)
    command = worker_command(workers)
    os.execv(command[0], command)


def migrate_database(settings: Settings | None = None) -> None:
    """Upgrade the database to the newest schema. CannotMigrate, or an error of SQLAlchemy for one that does not answer.

    A step may take long on large tables; whether the server answers at all is asked first, within its limit.
    """
    url = (settings or Settings()).database
    probe, database = Database(url), Database(url, answer_s=None)
    try:
        if schema_fault(probe.engine) is not None:
            upgrade(database.engine)
    finally:
        probe.dispose()
        database.dispose()


def check_worker() -> None:
    """Exit code 1 unless a live worker reported recently; for the health checks of containers."""
    settings = Settings()
    database = Database(settings.database)
    try:
        with database.reading() as session:
            reason = without_worker(session, settings.heartbeat)
    finally:
        database.dispose()
    if reason is not None:
        print(reason, file=sys.stderr)
        raise SystemExit(1)
