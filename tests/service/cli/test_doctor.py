"""`fewbits doctor`: each fault is found, with its remedy, also where a part accepts connections and never answers."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from service.cli import doctor
from service.cli.doctor import Finding, State, examine
from service.cli.main import app
from service.settings import Settings
from service.store import workers
from service.store.session import Database
from tests.databases import migrate


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PATIENCE_S", 2.0)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(Settings(home=tmp_path).database)
    migrate(opened.engine)
    yield opened
    opened.dispose()


def findings(tmp_path: Path, **settings: Any) -> dict[str, Finding]:
    values = {"home": tmp_path, "url": "http://127.0.0.1:9", **settings}
    return {finding.check: finding for finding in examine(Settings(**values))}


def test_a_new_machine_has_no_problem(tmp_path: Path) -> None:
    parts = findings(tmp_path)
    assert [one.check for one in parts.values() if one.state is State.PROBLEM] == []
    assert "fewbits migrate" in parts["schema"].remedy
    assert "fewbits serve" in parts["service"].remedy
    assert list(tmp_path.iterdir()) == []


def test_a_live_worker_is_counted(tmp_path: Path, database: Database) -> None:
    assert "fewbits worker" in findings(tmp_path)["workers"].remedy
    with database.transaction() as session:
        workers.heartbeat(session, "one")
    assert findings(tmp_path)["workers"] == Finding("workers", State.OK, "1 process is alive")


@pytest.mark.parametrize(
    ("revision", "remedy"), [("0001", "fewbits migrate"), ("9999", "install the newer version")]
)
def test_another_schema_is_a_problem(tmp_path: Path, database: Database, revision: str, remedy: str) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :new"), {"new": revision})
    schema = findings(tmp_path)["schema"]
    assert schema.state is State.PROBLEM
    assert remedy in schema.remedy


def test_parts_that_never_answer_are_problems_without_passwords(tmp_path: Path, silent: int) -> None:
    parts = findings(
        tmp_path,
        database_url=f"postgresql://someone:secret@127.0.0.1:{silent}/x",
        broker_url=f"redis://:secret@127.0.0.1:{silent}/0",
        url=f"http://127.0.0.1:{silent}",
    )
    assert {parts[part].state for part in ("database", "broker")} == {State.PROBLEM}
    assert parts["service"].state is not State.OK
    assert "FEWBITS_BROKER_URL" in parts["broker"].remedy
    assert "secret" not in str(parts)


@pytest.mark.parametrize(
    ("free", "state"), [(1 << 20, State.PROBLEM), (1 << 30, State.WARNING), (1 << 40, State.OK)]
)
def test_little_disk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: State
) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))
    assert findings(tmp_path)["disk"].state is state


def test_variables_that_are_no_settings_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWBITS_DATABSE_URL", "x")
    assert "FEWBITS_DATABSE_URL" in findings(tmp_path)["settings"].detail
    monkeypatch.delenv("FEWBITS_DATABSE_URL")
    monkeypatch.setenv("FEWBITS_API_KEY", "")
    assert "FEWBITS_API_KEY: set, but empty" in findings(tmp_path)["settings"].detail


def test_a_proxy_in_between_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "elsewhere")
    assert findings(tmp_path, url="http://10.0.0.1")["proxies"].remedy == "NO_PROXY=10.0.0.1"
    monkeypatch.setenv("no_proxy", "10.0.0.1")
    assert findings(tmp_path, url="http://10.0.0.1")["proxies"].state is State.OK


def test_the_command_prints_a_table_or_json_and_fails_for_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWBITS_HOME", str(tmp_path))
    monkeypatch.setenv("FEWBITS_URL", "http://127.0.0.1:9")
    answer = CliRunner().invoke(app, ["doctor"])
    assert answer.exit_code == 0
    assert "-> fewbits serve" in answer.output
    monkeypatch.setenv("FEWBITS_DATABASE_URL", "postgresql://127.0.0.1:9/nowhere")
    answer = CliRunner().invoke(app, ["doctor", "--json"])
    assert answer.exit_code == 1
    states = {one["check"]: one["state"] for one in json.loads(answer.stdout)}
    assert states["database"] == "problem"


def test_a_setting_of_the_wrong_type_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWBITS_PORT", "many")
    answer = CliRunner().invoke(app, ["doctor"])
    assert answer.exit_code == 1
    assert "FEWBITS_PORT" in answer.output
    assert "Traceback" not in answer.output
