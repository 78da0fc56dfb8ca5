"""Sessions: the one place that commits."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from service.store.tenancy import TenantSession

#: What must happen after the transaction under way has been committed; None outside of one.
_after_commit: ContextVar[list[Callable[[], object]] | None] = ContextVar("after_commit", default=None)

_READ_ONLY: Final = "fewbits_read_only"
_LASTING: Final = "fewbits_lasting"
_WAITS: Final = "fewbits_waits"


def on_commit(action: Callable[[], object]) -> None:
    """Have `action` done once the transaction under way is committed; it is dropped if that rolls back.

    Raises RuntimeError outside of `Database.transaction()`.
    """
    actions = _after_commit.get()
    if actions is None:
        raise RuntimeError("on_commit() is only for the inside of Database.transaction()")
    actions.append(action)


def insert_of(session: Session) -> Any:
    """The database's own `insert`, which knows ON CONFLICT; loaded here, for a dialect takes a while."""
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert

        return insert
    from sqlalchemy.dialects.sqlite import insert as insert_of_sqlite

    return insert_of_sqlite


class Database:
    """A database and its sessions. SQLite runs in WAL mode and takes its write lock at BEGIN.

    Without BEGIN IMMEDIATE, SQLite refuses a transaction that reads first and writes later when another one wrote in
    between; waiting does not help it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine: Engine | None = None
        self._tenant: str | None = None

    def of(self, tenant: str) -> Database:
        """The same database as one tenant sees it: its sessions read and write this tenant's rows only."""
        narrowed = Database(self.url)
        narrowed._engine, narrowed._tenant = self.engine, tenant
        return narrowed

    @property
    def engine(self) -> Engine:
        """The engine, made at first use, so that a process that forks first gets its own."""
        if self._engine is None:
            self._engine = _make_engine(self.url)
        return self._engine

    @contextmanager
    def transaction(self, *, lasting: bool = True) -> Iterator[Session]:
        """A session whose changes are committed at the end, all or none; then what waits for the commit is done.

        One that is not `lasting` does not wait for the disk: it outlives every process, but the machine's loss of power
        may undo it, with all that came after it. For what workers find out again.
        """
        actions: list[Callable[[], object]] = []
        token = _after_commit.set(actions)
        try:
            with (
                self.engine.connect().execution_options(**{_LASTING: lasting}) as connection,
                TenantSession(connection, expire_on_commit=False, tenant=self._tenant) as session,
                session.begin(),
            ):
                yield session
        finally:
            _after_commit.reset(token)
        for action in actions:
            action()

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only reads; it takes no write lock."""
        with (
            self.engine.connect().execution_options(**{_READ_ONLY: True}) as connection,
            TenantSession(connection, expire_on_commit=False, tenant=self._tenant) as session,
        ):
            yield session

    def dispose(self) -> None:
        """Close every connection; the next use opens new ones."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def _make_engine(url: str) -> Engine:
    options: dict[str, Any] = {"json_serializer": _to_json}
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        engine = create_engine(url, pool_pre_ping=True, **options)
        event.listen(engine, "begin", _begin_postgres)
        return engine
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": 30, "check_same_thread": False}, **options)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin by itself: _begin_sqlite does
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        cursor.execute(f"PRAGMA {pragma}")
    if cursor.execute("SELECT count(*) FROM pragma_function_list WHERE name = 'ln'").fetchone() == (0,):
        # TensorFlow brings an SQLite without mathematics; a process that loads it first computes scores with that one.
        connection.create_function("ln", 1, math.log, deterministic=True)
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get(_READ_ONLY, False):
        connection.exec_driver_sql("BEGIN")
        return
    waits = "FULL" if options.get(_LASTING, True) else "NORMAL"
    if connection.info.get(_WAITS, "FULL") != waits:
        connection.exec_driver_sql(f"PRAGMA synchronous={waits}")
        connection.info[_WAITS] = waits
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_postgres(connection: Connection) -> None:
    if not connection.get_execution_options().get(_LASTING, True):
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")


def _to_json(value: Any) -> str:
    """Strict JSON: PostgreSQL refuses NaN and Infinity, so nothing may store them anywhere."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
