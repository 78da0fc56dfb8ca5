"""`fewbits serve` and `migrate` in processes of their own, without workers."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from typer.testing import CliRunner

from service.cli import app as command
from service.cli.serving import worker_command
from service.settings import Settings
from service.store import workers
from service.store.session import Database

ROOT = Path(__file__).parents[3]
#: The command as it is installed.
FEWBITS = Path(sys.executable).parent / "fewbits"


def environment(home: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FEWBITS_")}
    return inherited | {"FEWBITS_HOME": str(home), "PYTHONPATH": str(ROOT)}


@contextmanager
def serving(
    home: Path, *options: str, folder: Path | None = None
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A service without a worker, run in a folder; its address and process."""
    process = subprocess.Popen(
        [str(FEWBITS), "serve", "--no-worker", "--port", "0", *options],
        env=environment(home),
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield address(process), process
    finally:
        process.kill()
        process.communicate()


def address(process: subprocess.Popen[str]) -> str:
    """The address the service says that it listens at."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"fewbits is at (http://\S+?),", line):
            return found[1]
    raise AssertionError("the service ended")


def test_the_service_migrates_listens_and_ends_cleanly_in_any_folder(tmp_path: Path, shadows: Path) -> None:
    with serving(tmp_path / "home", folder=shadows) as (url, process):
        with httpx.Client(base_url=url, timeout=120) as http:
            assert http.get("/readyz").json()["migrations"] == "ok"
            assert http.get("/").text.startswith("<!doctype html>")
        assert psutil.Process(process.pid).memory_info().rss < 150e6
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_ctrl_c_ends_the_service_cleanly(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as (url, process):
        assert httpx.get(f"{url}/healthz", timeout=120).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0


def test_a_port_that_is_taken_ends_the_service_with_1(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        serve = [sys.executable, "-m", "service.cli", "serve", "--no-worker"]
        ended = subprocess.run(
            [*serve, "--port", str(taken.getsockname()[1])],
            env=environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr


def test_migrating_builds_the_database(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "service.cli", "migrate"], env=environment(tmp_path), check=True)
    database = Database(f"sqlite:///{tmp_path / 'fewbits.db'}")
    with database.reading() as session:
        tables = session.connection().exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
        assert {"jobs", "trials", "workers"} <= {name for (name,) in tables}
    database.dispose()


def test_a_worker_that_was_not_heard_of_fails_its_check(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWBITS_HOME", str(settings.home))
    assert CliRunner().invoke(command, ["worker", "--check"]).exit_code == 1
    database = Database(settings.database)
    with database.transaction() as session:
        workers.heartbeat(session, "host/1/0")
    database.dispose()
    assert CliRunner().invoke(command, ["worker", "--check"]).exit_code == 0


def test_a_worker_is_started_with_its_number_of_trials() -> None:
    assert worker_command(3)[1:] == ["-P", "-m", "worker", "--concurrency", "3"]


def test_a_service_that_others_could_reach_does_not_start_without_keys(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command_line = [sys.executable, "-m", "service.cli"]
    refused = subprocess.run(
        [*command_line, "serve", "--no-worker", "--port", "0", "--host", "0.0.0.0"],
        env=environment(home),
        capture_output=True,
        text=True,
    )
    assert refused.returncode == 1
    assert "fewbits keys create" in refused.stderr
    made = subprocess.run(
        [*command_line, "keys", "create", "first", "--scope", "read"],
        env=environment(home),
        capture_output=True,
        text=True,
        check=True,
    )
    with serving(home, "--host", "0.0.0.0") as (url, _):
        base = url.replace("0.0.0.0", "127.0.0.1")
        with httpx.Client(base_url=base, timeout=120) as http:
            assert http.get("/v1/jobs").status_code == 401
            sent = {"authorization": f"Bearer {made.stdout.strip()}"}
            assert http.get("/v1/jobs", headers=sent).status_code == 200
