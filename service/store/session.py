"""Sessions: the one place that commits."""

from __future__ import annotations

import errno
import json
import logging
import math
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.orm import Session

from service.store.tenancy import TenantSession

log = logging.getLogger(__name__)

T = TypeVar("T")

#: What is called once the current transaction is committed; None outside of one.
_after_commit: ContextVar[list[Callable[[], object]] | None] = ContextVar("after_commit", default=None)

_READ_ONLY: Final = "fewbits_read_only"
_DURABLE: Final = "fewbits_durable"
_SYNCHRONOUS: Final = "fewbits_synchronous"
#: How SQLite writes a transaction that must be durable, and one that need not be.
SYNCHRONOUS: Final = {True: "FULL", False: "NORMAL"}

# --- what passes by itself -------------------------------------------------------------------------------------------

#: SQLSTATE classes of what a server does to anybody: connections (08), transactions rolled back in favour of others
#: (40), resources (53), an operator (57P: restarts, terminated backends), its own disk (58).
_STATE_CLASSES: Final = ("08", "40", "53", "57P", "58")
#: A server that is read-only for now (a standby), and waits that ran out: of a statement, a lock, an idle session.
_STATES: Final = frozenset({"25006", "25P03", "25P04", "55P03", "57014"})

#: Of SQLite: busy, locked, read-only, I/O error, full, cannot open, locking protocol.
_SQLITE_CODES: Final = frozenset({5, 6, 8, 10, 13, 14, 15})

_DISK_ERRORS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE, errno.EMFILE, errno.ENFILE}
)
#: Libraries in C raise errors of their own for a full disk.
_DISK_TEXTS: Final = ("No space left on device", "Disk quota exceeded")

#: Seconds for which the server goes on with a statement whose client has given it up.
_MARGIN_S: Final = 1.0

#: Seconds before the second try, and between tries at most.
_PAUSE_S, _MAX_PAUSE_S = 0.1, 5.0


def is_retryable(error: BaseException | None) -> bool:
    """True if the cause lies in the database, the network or a disk, so that the same may work later.

    The one place that decides it: no trial, report, export or request fails for what is retryable.
    """
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _is_passing(error.orig)
    if isinstance(error, OSError):
        passing = isinstance(error, ConnectionError | TimeoutError) or error.errno in _DISK_ERRORS
        return passing or any(words in str(error) for words in _DISK_TEXTS)
    if isinstance(error, NoConnectionFree):
        return True
    return isinstance(error, Exception) and any(words in str(error) for words in _DISK_TEXTS)


def _is_passing(error: Any) -> bool:
    if isinstance(error, sqlite3.Error):
        return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in _SQLITE_CODES
    state = getattr(error, "sqlstate", None)
    if state is not None:
        return state in _STATES or state.startswith(_STATE_CLASSES)
    # the driver's own: the connection could not be opened, was closed, or did not answer
    return type(error).__name__ in ("OperationalError", "ConnectionTimeout", "InterfaceError")


def reason_of(error: BaseException) -> str:
    """An error as the reason that users read: never the statement that a database refused, nor its parameters."""
    if isinstance(error, DBAPIError):
        name = type(error.orig).__name__
        if is_retryable(error):
            return f"the database did not respond ({name})"
        return f"the database refused a statement ({name}); the log has the details"
    if isinstance(error, SQLAlchemyError):
        return f"an error of the database layer ({type(error).__name__}); the log has the details"
    if isinstance(error, OSError):
        return f"{error.strerror or error}"
    return f"{type(error).__name__}: {error}"


def keep_trying(
    action: Callable[[], T], *, for_s: float, check: Callable[[], object] | None = None, what: str = ""
) -> T:
    """The result of an action that may be called again, called until it raises nothing that is retryable.

    Pauses grow from 0.1 s to 5 s. Raises the last error once `for_s` seconds have passed, any other error at once, and
    what `check` raises, which is called before every further try.
    """
    began, pause = time.monotonic(), _PAUSE_S
    while True:
        try:
            return action()
        except Exception as error:
            if not is_retryable(error) or time.monotonic() - began + pause > for_s:
                raise
            log.warning("%s: %s; tried again in %.1f s", what or "a write", reason_of(error), pause)
        time.sleep(pause * random.uniform(0.8, 1.0))
        pause = min(pause * 2, _MAX_PAUSE_S)
        if check is not None:
            check()


# --- sessions --------------------------------------------------------------------------------------------------------


def database_now(session: Session) -> datetime:
    """This moment by the clock of the database, in UTC: leases are compared by one clock, whoever renews them."""
    if session.get_bind().dialect.name != "postgresql":
        return datetime.now(UTC)
    moment: datetime = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return moment.astimezone(UTC)


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
    between, however long it waits. `answer_s`: seconds until PostgreSQL must have answered a statement; None: no limit.
    """

    def __init__(self, url: str, answer_s: float | None = 20.0) -> None:
        self.url = url
        self._answer_s = answer_s
        self._engine: Engine | None = None
        self._tenant: str | None = None

    def for_tenant(self, tenant: str) -> Database:
        """The same database for one tenant: its sessions read and write this tenant's rows only."""
        narrowed = Database(self.url, self._answer_s)
        narrowed._engine, narrowed._tenant = self.engine, tenant
        return narrowed

    @property
    def engine(self) -> Engine:
        """The engine, created at first use, so that a forked process gets its own."""
        if self._engine is None:
            self._engine = _make_engine(self.url, self._answer_s)
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
        connection = self.engine.connect().execution_options(**{_READ_ONLY: True})
        session = TenantSession(connection, expire_on_commit=False, tenant=self._tenant)
        try:
            yield session
        finally:
            _let_go(session, connection)

    def dispose(self) -> None:
        """Close every connection; the next use opens new ones."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None


def _make_engine(url: str, answer_s: float | None) -> Engine:
    options: dict[str, Any] = {"json_serializer": _to_json, "hide_parameters": True}
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        engine = create_engine(url, pool_pre_ping=True, pool_timeout=10, **options)
        event.listen(engine, "begin", partial(_begin_postgres, _server_limits(answer_s)))
        event.listen(engine, "do_connect", partial(_connect, answer_s))
        return engine
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"timeout": 30, "check_same_thread": False}, **options)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _let_go(session: Session, connection: Connection) -> None:
    """Close what was only read. A connection that breaks only now has done its work: that is nobody's error."""
    for close in (session.close, connection.close):
        try:
            close()
        except Exception as error:
            if not is_retryable(error):
                raise
            log.info("a connection broke when it was closed: %s", reason_of(error))


def _connect(answer_s: float | None, _dialect: Any, _record: Any, arguments: Any, options: Any) -> Any:
    from service.store.postgres import connect  # the driver is loaded for PostgreSQL alone

    return connect(answer_s, arguments, options)


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # _begin_sqlite begins transactions, not the driver
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=30000"):
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
    synchronous = SYNCHRONOUS[options.get(_DURABLE, True)]
    if connection.info.get(_SYNCHRONOUS) != synchronous:
        connection.exec_driver_sql(f"PRAGMA synchronous={synchronous}")
        connection.info[_SYNCHRONOUS] = synchronous
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _server_limits(answer_s: float | None) -> dict[str, str]:
    """Settings of a transaction that writes: what becomes of its locks where its client is cut off.

    The server does not hear of that for hours. Within a transaction a client that is alive sends its next statement
    soon, and waits no longer than `answer_s` for an answer: after that nobody reads it.
    """
    if answer_s is None:
        return {}
    limits_s = {
        "idle_in_transaction_session_timeout": 2 * answer_s,
        "statement_timeout": answer_s + _MARGIN_S,
    }
    return {name: str(max(round(1000 * limit), 1)) for name, limit in limits_s.items()}


def _begin_postgres(limits: Mapping[str, str], connection: Connection) -> None:
    """In one statement, since each costs a round trip. For the transaction only: a pooler hands the session on."""
    options = connection.get_execution_options()
    if options.get(_READ_ONLY, False):
        return
    settings = {**limits} if options.get(_DURABLE, True) else {**limits, "synchronous_commit": "off"}
    if settings:
        calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
        connection.exec_driver_sql(f"SELECT {calls}")


def _to_json(value: Any) -> str:
    """Strict JSON: PostgreSQL rejects NaN and Infinity, so no database may store them."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))
