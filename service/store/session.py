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

#: What is called once the current transaction is committed; None outside of one.
_after_commit: ContextVar[list[Callable[[], object]] | None] = ContextVar("after_commit", default=None)

_READ_ONLY: Final = "fewbits_read_only"
_DURABLE: Final = "fewbits_durable"
_SYNCHRONOUS: Final = "fewbits_synchronous"


def on_commit(action: Callable[[], object]) -> None:
    """Call `action` once the current transaction is committed; it is dropped if the transaction rolls back.

    Raises RuntimeError outside of `Database.transaction()`.
    """
    actions = _after_commit.get()
    if actions is None:
        raise RuntimeError("on_commit() must be called inside Database.transaction()")
    actions.append(action)


def dialect_insert(session: Session) -> Any:
    """The `insert` of the database's dialect, which has ON CONFLICT; imported here, since a dialect takes a while."""
    if session.get_bind().dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert

        return insert
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert

    return sqlite_insert


class Database:
    """A database and its sessions. SQLite runs in WAL mode and acquires its write lock at BEGIN.

    Without BEGIN IMMEDIATE, SQLite aborts a transaction that reads first and writes later if another one wrote in
    between, however long it waits.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine: Engine | None = None
        self._tenant: str | None = None

    def for_tenant(self, tenant: str) -> Database:
        """The same database for one tenant: its sessions read and write this tenant's rows only."""
        narrowed = Database(self.url)
        narrowed._engine, narrowed._tenant = self.engine, tenant
        return narrowed

    @property
    def engine(self) -> Engine:
        """The engine, created at first use, so that a forked process gets its own."""
        if self._engine is None:
            self._engine = _make_engine(self.url)
        return self._engine

    @contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[Session]:
        """A session whose changes are committed at the end, all or none; then the `on_commit` actions are called.

        A transaction that is not `durable` does not wait for the disk: it survives every process, but a power failure
        may undo it, with all that came after it. For rows that workers would write again.
        """
        actions: list[Callable[[], object]] = []
        token = _after_commit.set(actions)
        try:
            with (
                self.engine.connect().execution_options(**{_DURABLE: durable}) as connection,
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
        """A session that only reads; it acquires no write lock."""
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
    connection.isolation_level = None  # _begin_sqlite begins transactions, not the driver
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
    synchronous = "FULL" if options.get(_DURABLE, True) else "NORMAL"
    if connection.info.get(_SYNCHRONOUS, "FULL") != synchronous:
        connection.exec_driver_sql(f"PRAGMA synchronous={synchronous}")
        connection.info[_SYNCHRONOUS] = synchronous
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_postgres(connection: Connection) -> None:
    if not connection.get_execution_options().get(_DURABLE, True):
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")


def _to_json(value: Any) -> str:
    """Strict JSON: PostgreSQL rejects NaN and Infinity, so no database may store them."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
