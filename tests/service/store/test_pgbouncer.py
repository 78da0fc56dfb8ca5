"""PgBouncer in transaction mode before PostgreSQL: a search runs through it as it does without."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

import search.training.evaluate
import search.training.trial
from search.history import JobStatus, TrialStatus
from service.store import jobs, trials
from service.store.session import Database
from tests.conftest import drop_schema
from tests.databases import migrate
from tests.worker.conftest import Bench, write_data
from tests.worker.lives import made_up_test, made_up_training
from worker import preparation

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed"),
]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def pooled(make_postgres_schema: Callable[[], str], tmp_path: Path) -> Iterator[str]:
    """The URL of an empty schema through a PgBouncer with two connections to the server."""
    url = make_postgres_schema()
    server, schema, port = make_url(url), url.rpartition("search_path%3D")[2], free_port()
    password = f" password='{server.password}'" if server.password else ""
    configuration = tmp_path / "pgbouncer.ini"
    configuration.write_text(
        "[databases]\n"
        f"pooled = host={server.host} port={server.port or 5432} dbname={server.database} user={server.username}"
        f"{password} connect_query='SET search_path TO {schema}'\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        "pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 100\n"
        f"logfile = {tmp_path / 'pgbouncer.log'}\n"
    )
    user = "postgres" if os.geteuid() == 0 else None  # it refuses to run as root
    if user is not None:
        (tmp_path / "pgbouncer.log").touch()
        for path in (tmp_path, *list(tmp_path.parents)[:3]):
            path.chmod(path.stat().st_mode | 0o711)
        for path in tmp_path.iterdir():
            shutil.chown(path, user)
    process = subprocess.Popen(
        [str(PROGRAM), str(configuration)],
        user=user,
        group=None if user is None else pwd.getpwnam(user).pw_gid,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, process)
        yield f"postgresql+psycopg://any@127.0.0.1:{port}/pooled"
    finally:
        process.terminate()
        process.wait(10)
        drop_schema(url)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until it listens."""
    for _ in range(200):
        assert process.poll() is None, "pgbouncer ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("pgbouncer does not listen")


def test_a_search_runs_through_a_pooler(pooled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search.training.trial, "run_trial", made_up_training)
    monkeypatch.setattr(search.training.evaluate, "evaluate_file", made_up_test)
    bench = Bench(tmp_path / "home", database=Database(pooled))
    write_data(bench.settings.data_folder)
    preparation.clear()
    job_id = bench.submit(budget={"trials": 4})
    bench.work()
    with bench.database.reading() as session:
        assert jobs.get(session, job_id).status == JobStatus.DONE
        assert {row.status for row in trials.page(session, job_id, limit=9)} == {TrialStatus.DONE}
    bench.database.dispose()


def test_more_clients_than_connections_take_turns(pooled: str) -> None:
    clients = [Database(pooled) for _ in range(8)]
    migrate(clients[0].engine)
    for client in clients * 3:
        with client.transaction(durable=False) as session:
            assert session.scalar(text("SELECT count(*) FROM jobs")) == 0
    for client in clients:
        client.dispose()
