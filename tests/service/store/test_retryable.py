"""What passes by itself is told from what does not, in one place; and no wait for a database is without a limit."""

from __future__ import annotations

import errno
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from service.store import session as store_session
from service.store import workers
from service.store.models import Worker
from service.store.session import Database, is_retryable, keep_trying, reason_of
from tests.conftest import drop_schema, postgres_url
from tests.databases import migrate
from tests.proxy import Proxy

STATEMENT = "UPDATE secrets SET word = %s"


def refused(state: str) -> DBAPIError:
    """What SQLAlchemy raises for an error of PostgreSQL."""
    error = psycopg.errors.lookup(state)("in the middle of something")
    return DBAPIError.instance(STATEMENT, {"word": "hidden"}, error, psycopg.Error)  # type: ignore[return-value]


PASSING = [
    "08006",
    "08P01",
    "40001",
    "40P01",
    "53100",
    "53300",
    "57P01",
    "57P03",
    "58030",
    "25006",
    "57014",
    "55P03",
]
LASTING = ["23505", "22003", "42601", "42P01", "22P02", "28P01", "0A000"]


@pytest.mark.parametrize("state", PASSING)
def test_what_a_server_does_to_anybody_is_retryable(state: str) -> None:
    assert is_retryable(refused(state))


@pytest.mark.parametrize("state", LASTING)
def test_what_a_statement_did_wrong_is_not(state: str) -> None:
    assert not is_retryable(refused(state))


@pytest.mark.parametrize("state", PASSING + LASTING)
def test_no_reason_shows_a_statement_or_its_parameters(state: str) -> None:
    reason = reason_of(refused(state))
    assert "secrets" not in reason
    assert "hidden" not in reason
    assert "in the middle" not in reason


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EIO, "Input/output error"), True),
        (OSError("[Errno 28] Can't write data: No space left on device"), True),
        (RuntimeError("file write failed: No space left on device"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (NoConnectionFree("QueuePool limit"), True),
        (FileNotFoundError(errno.ENOENT, "No such file"), False),
        (PermissionError(errno.EACCES, "denied"), False),
        (ValueError("no"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_errors_of_disks_and_networks(error: BaseException, expected: bool) -> None:
    assert is_retryable(error) is expected


def test_a_locked_and_a_full_sqlite_are_retryable_and_a_wrong_row_is_not(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'some.db'}")
    with database.transaction() as session:
        session.execute(text("CREATE TABLE rows (id INTEGER PRIMARY KEY, size BLOB)"))
        session.execute(text("INSERT INTO rows (id) VALUES (1)"))
    with pytest.raises(IntegrityError) as twice, database.transaction() as session:
        session.execute(text("INSERT INTO rows (id) VALUES (1)"))
    assert not is_retryable(twice.value)
    other = sqlite3.connect(tmp_path / "some.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with database.engine.connect() as connection:
        connection.connection.execute("PRAGMA busy_timeout=0")  # type: ignore[attr-defined]
    with pytest.raises(OperationalError) as locked, database.transaction() as session:
        session.execute(text("DELETE FROM rows"))
    assert is_retryable(locked.value)
    other.rollback()
    other.close()
    with pytest.raises(OperationalError) as full, database.transaction() as session:
        session.execute(text("PRAGMA max_page_count=3"))
        session.execute(text("INSERT INTO rows (size) VALUES (zeroblob(1000000))"))
    assert is_retryable(full.value)
    database.dispose()


def test_an_action_is_tried_until_it_is_well_or_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(store_session.time, "sleep", pauses.append)
    errors = [refused("57P01"), OSError(errno.ENOSPC, "full"), ConnectionResetError()]

    def action() -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert keep_trying(action, for_s=60) == "done"
    assert len(pauses) == 3
    assert pauses == sorted(pauses)
    with pytest.raises(ConnectionResetError):
        keep_trying(_reset, for_s=0)
    with pytest.raises(ZeroDivisionError):
        keep_trying(lambda: 1 / 0, for_s=60)
    with pytest.raises(LookupError):
        keep_trying(_reset, for_s=60, check=_stop)


def _reset() -> None:
    raise ConnectionResetError


def _stop() -> None:
    raise LookupError


# --- a server behind a proxy -----------------------------------------------------------------------------------------


@pytest.fixture
def proxy(make_postgres_schema: Callable[[], str]) -> Iterator[tuple[Proxy, str]]:
    """A proxy before PostgreSQL, and the URL of a schema through it."""
    url = make_postgres_schema()
    parsed = make_url(url)
    with Proxy(parsed.host or "127.0.0.1", parsed.port or 5432) as between:
        through = parsed.set(drivername="postgresql+psycopg", host="127.0.0.1", port=between.port)
        yield between, through.render_as_string(hide_password=False)
    drop_schema(url)


@pytest.mark.services
def test_a_cut_connection_is_retryable_and_replaced(proxy: tuple[Proxy, str]) -> None:
    between, url = proxy
    database = Database(url)

    def cut_once() -> int:
        with database.transaction() as session:
            session.execute(text("SELECT 1"))
            between.cut()
            one: int = session.execute(text("SELECT 1")).scalar_one()
            return one

    with pytest.raises(DBAPIError) as cut:
        cut_once()
    assert is_retryable(cut.value)
    with database.reading() as session:
        assert session.scalar(text("SELECT 1")) == 1
    database.dispose()


@pytest.mark.services
@pytest.mark.parametrize("has_connection", [True, False])
def test_a_frozen_server_is_given_up_after_the_limit(
    proxy: tuple[Proxy, str], has_connection: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.postgres.CONNECT_S", 2)
    between, url = proxy
    database = Database(url, answer_s=0.2)
    if has_connection:
        with database.reading() as session:
            session.execute(text("SELECT 1"))
    between.freeze()
    with pytest.raises(OperationalError) as frozen, database.reading() as session:
        session.execute(text("SELECT 1"))
    assert is_retryable(frozen.value)
    between.thaw()
    with database.reading() as session:
        assert session.scalar(text("SELECT 1")) == 1
    database.dispose()


@pytest.mark.services
def test_a_delay_within_the_limit_is_nothing(proxy: tuple[Proxy, str]) -> None:
    between, url = proxy
    database = Database(url)
    with database.reading() as session:
        session.execute(text("SELECT 1"))
        between.freeze()
        threading.Timer(0.2, between.thaw).start()
        assert session.scalar(text("SELECT 1")) == 1
    database.dispose()


@pytest.mark.services
def test_a_terminated_backend_is_retryable(proxy: tuple[Proxy, str]) -> None:
    _, url = proxy
    database, another = Database(url), Database(url)
    with pytest.raises(DBAPIError) as terminated, database.reading() as session:
        backend = session.scalar(text("SELECT pg_backend_pid()"))
        with another.reading() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})
        session.execute(text("SELECT 1"))
    assert is_retryable(terminated.value)
    database.dispose()
    another.dispose()


@pytest.mark.services
def test_a_connection_that_breaks_after_the_last_read_has_done_its_work(proxy: tuple[Proxy, str]) -> None:
    server, url = proxy
    database = Database(url)
    with database.reading() as session:
        assert session.scalar(text("SELECT 1")) == 1
        server.cut()
    with database.reading() as session:
        assert session.scalar(text("SELECT 2")) == 2
    database.dispose()


# --- clients that are cut off ----------------------------------------------------------------------------------------


#: Locks the row of a worker.
TOUCH = update(Worker).values(problem=None)


@pytest.mark.services
def test_a_client_that_is_cut_off_within_a_transaction_lets_its_rows_go(proxy: tuple[Proxy, str]) -> None:
    between, url = proxy
    cut_off, another = Database(url, answer_s=0.3), Database(make_direct(url))
    migrate(another.engine)
    with another.transaction() as session:
        workers.heartbeat(session, "host/1/0")
    released = False
    with pytest.raises(DBAPIError) as lost, cut_off.transaction() as session:
        session.execute(TOUCH)
        between.freeze()  # the server sees an open connection on which nothing comes any more
        with another.transaction() as other:
            other.execute(TOUCH)
        released = True
        between.thaw()
        session.execute(TOUCH)
    assert released
    assert is_retryable(lost.value)
    for database in (cut_off, another):
        database.dispose()


@pytest.mark.services
def test_the_server_gives_up_what_a_client_no_longer_waits_for(proxy: tuple[Proxy, str]) -> None:
    _, url = proxy
    holder, waiter = Database(url), Database(url, answer_s=0.2)
    migrate(holder.engine)
    waits = text("SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = :pid")
    with holder.transaction() as session:
        workers.heartbeat(session, "host/1/0")
    with holder.transaction() as session:
        session.execute(TOUCH)
        with pytest.raises(DBAPIError) as given_up, waiter.transaction() as other:
            backend = other.scalar(text("SELECT pg_backend_pid()"))
            other.execute(TOUCH)
        assert is_retryable(given_up.value)
        assert any(session.scalar(waits, {"pid": backend}) == 0 or time.sleep(0.05) for _ in range(200)), (
            "it waits for a row that nobody wants"
        )
    for database in (holder, waiter):
        database.dispose()


def make_direct(url: str) -> str:
    """The URL of the server itself."""
    server = make_url(postgres_url() or "")
    direct = make_url(url).set(host=server.host, port=server.port)
    return direct.render_as_string(hide_password=False)
