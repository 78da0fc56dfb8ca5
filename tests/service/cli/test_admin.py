"""`fewbits admin`: what operators look at and do, on the database and the files of the settings."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from search.history import TrialStatus
from service.cli import app as command
from service.settings import Settings
from service.store import backups, claims, deferred_deletes, draining, jobs, trials, workers
from service.store.blobs import Blob, BlobStore
from service.store.models import Trial, now
from service.store.session import Database
from tests.conftest import drop_schema
from tests.worker.conftest import Bench, write_data
from worker import preparation
from worker.identity import worker_name
from worker.tasks import is_able, run_trial

HOST = socket.gethostname()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A worker's database and files, which the settings of commands name."""
    made = Bench(tmp_path / "home")
    write_data(made.settings.data_folder)
    preparation.clear()
    monkeypatch.setenv("FEWBITS_HOME", str(made.settings.home))
    yield made
    made.database.dispose()


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(command, ["admin", *arguments])
    assert done.exit_code == code, done.output
    return done.output


def listed(*arguments: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(run(*arguments, "--json"))
    return rows


def claimed(bench: Bench, worker: str) -> str:
    """A job, a trial of which a worker runs."""
    job_id = bench.submit()
    bench.step()
    with bench.database.transaction() as session:
        workers.heartbeat(session, worker)
        assert claims.claim_next(session, 0, worker=worker, lease=timedelta(seconds=60))
    return job_id


def test_workers_and_their_leases_are_listed(bench: Bench) -> None:
    job_id = claimed(bench, f"{HOST}/7/0.1")
    with bench.database.transaction() as session:
        workers.note_problem(session, "elsewhere/1/2", "the disk is full")
        moment = now() - timedelta(hours=1)
        session.execute(
            update(workers.Worker).where(workers.Worker.name == "elsewhere/1/2").values(seen_at=moment)
        )
    here, elsewhere = listed("workers")
    assert (here["status"], here["host"], here["running"]) == ("alive", HOST, 1)
    assert (elsewhere["status"], elsewhere["problem"]) == ("silent", "the disk is full")
    (lease,) = listed("leases")
    assert (lease["kind"], lease["job"], lease["trial"], lease["attempt"]) == ("trial", job_id, 0, 1)
    assert 0 < lease["remaining_s"] <= 60
    for name in ("workers", "leases"):
        assert HOST in run(name)


def test_a_drained_machine_begins_nothing_until_it_is_let(bench: Bench) -> None:
    job_id = bench.submit()
    bench.step()
    assert "begin nothing new; 0 still run" in run("drain", HOST)
    assert not is_able(bench.runtime)
    assert not run_trial(bench.runtime, 0)
    with bench.database.reading() as session:
        assert {row.status for row in trials.page(session, job_id, limit=9)} == {TrialStatus.QUEUED}
    assert "begin again" in run("drain", HOST, "--undo")
    assert "was not drained" in run("drain", HOST, "--undo")
    assert is_able(bench.runtime)


def test_draining_tells_what_still_runs(bench: Bench) -> None:
    claimed(bench, f"{HOST}/7/0.1")
    assert "1 still run" in run("drain", HOST)
    assert "1 still run" in run("drain", HOST, "--wait", "0.01", code=1)
    assert "0 still run" in run("drain", "another", "--wait", "0.01")
    (worker,) = listed("workers")
    assert worker["status"] == "drained"
    with bench.database.reading() as session:
        assert draining.drained(session) == {HOST, "another"}


@pytest.mark.usefixtures("importable_tests")
def test_a_sweep_requeues_what_a_dead_worker_had(bench: Bench) -> None:
    name = worker_name(os.getpid()).rsplit("/", 1)
    job_id = claimed(bench, f"{name[0]}/{name[1]}9")  # this process, begun at another time: it is gone
    assert "swept" in run("sweep")
    with bench.database.reading() as session:
        assert trials.get(session, job_id, 0).status == TrialStatus.QUEUED
    assert listed("leases") == []


def stored(bench: Bench, content: bytes, tmp_path: Path, *, hours_ago: float = 0) -> Blob:
    path = tmp_path / "content"
    path.write_bytes(content)
    blob = bench.runtime.blobs.put(path)
    moment = now().timestamp() - hours_ago * 3600
    os.utime(bench.runtime.blobs.path(blob.sha256), (moment, moment))
    return blob


def test_files_that_nothing_references_are_removed_once_they_are_old(bench: Bench, tmp_path: Path) -> None:
    job_id = bench.submit()
    bench.step()
    old, new, used = (
        stored(bench, word, tmp_path, hours_ago=h) for word, h in ((b"o", 48), (b"n", 0), (b"u", 48))
    )
    with bench.database.transaction() as session:
        trials.put_artifacts(session, trials.get(session, job_id, 0).id, {"model.keras": used})
    assert "1 files would be removed" in run("gc", "--dry-run")
    assert "1 files and 0 unfinished" in run("gc")
    assert [bench.runtime.blobs.path(blob.sha256).exists() for blob in (old, new, used)] == [
        False,
        True,
        True,
    ]


def filled(bench: Bench, tmp_path: Path) -> tuple[str, str]:
    """A job with a trial that has a file."""
    job_id = bench.submit()
    bench.step()
    blob = stored(bench, b"weights", tmp_path)
    with bench.database.transaction() as session:
        trials.put_artifacts(session, trials.get(session, job_id, 0).id, {"model.keras": blob})
    return job_id, blob.sha256


def test_a_backup_is_restored_with_all_rows_and_files(bench: Bench, tmp_path: Path, monkeypatch: Any) -> None:
    job_id, address = filled(bench, tmp_path)
    folder = tmp_path / "backup"
    assert json.loads(run("backup", str(folder), "--json"))["files"] == 1
    assert "has tables" in run("restore", str(folder), code=1)
    monkeypatch.setenv("FEWBITS_HOME", str(tmp_path / "new home"))
    assert "1 jobs, 2 trials, 1 files" in run("restore", str(folder))
    settings = Settings()
    database = Database(settings.database)
    with database.reading() as session:
        assert jobs.get(session, job_id).name == "tiny"
        assert deferred_deletes.referenced(session) == {address}
    database.dispose()
    assert BlobStore(settings.blob_folder).path(address).read_bytes() == b"weights"


def test_a_backup_without_a_file_is_none(bench: Bench, tmp_path: Path) -> None:
    _, address = filled(bench, tmp_path)
    bench.runtime.blobs.path(address).unlink()
    assert f"missing, the first {address}" in run("backup", str(tmp_path / "backup"), code=1)
    assert "no whole backup" in run("restore", str(tmp_path / "backup"), code=1)


def test_a_backup_of_a_newer_version_is_refused(bench: Bench, tmp_path: Path, monkeypatch: Any) -> None:
    folder = tmp_path / "backup"
    run("backup", str(folder))
    manifest = json.loads((folder / "backup.json").read_text())
    (folder / "backup.json").write_text(json.dumps(manifest | {"revision": "9999"}))
    monkeypatch.setenv("FEWBITS_HOME", str(tmp_path / "new home"))
    assert "this version does not know" in run("restore", str(folder), code=1)


@pytest.mark.services
@pytest.mark.skipif(shutil.which("pg_dump") is None, reason="pg_dump is not installed")
def test_a_backup_of_postgresql_is_restored(
    make_postgres_schema: Callable[[], str], bench: Bench, tmp_path: Path
) -> None:
    import psycopg
    from sqlalchemy.engine import make_url

    from service.store.migrate import upgrade

    schema = make_postgres_schema()
    server = make_url(schema).set(drivername="postgresql", query={})
    names = [f"fewbits_backup_{os.getpid()}_{number}" for number in (1, 2)]
    address = server.set(database="postgres").render_as_string(hide_password=False)
    urls = [server.set(drivername="postgresql+psycopg", database=name) for name in names]
    with psycopg.connect(address, autocommit=True) as connection:
        for name in names:
            connection.execute(f'CREATE DATABASE "{name}"')
        try:
            first, second = (Database(url.render_as_string(hide_password=False)) for url in urls)
            upgrade(first.engine)
            with first.transaction() as session:
                workers.heartbeat(session, "somewhere/1/2")
            backups.make(first, bench.runtime.blobs, tmp_path / "backup")
            backups.restore(second, BlobStore(tmp_path / "blobs"), tmp_path / "backup")
            with second.reading() as session:
                assert session.scalars(select(workers.Worker.name)).all() == ["somewhere/1/2"]
                assert session.scalars(select(Trial.id)).all() == []
        finally:
            first.dispose()
            second.dispose()
            for name in names:
                connection.execute(f'DROP DATABASE IF EXISTS "{name}"')
    drop_schema(schema)
