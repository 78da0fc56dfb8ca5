"""What is installed, and files of a user that are called like our packages."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from search import installation
from search.installation import WORKER_PACKAGES, cannot_train, module_command
from service.api.health import worker_state
from service.cli import serving
from service.cli.main import app
from service.settings import Settings
from service.store.migrate import upgrade
from service.store.session import Database

ROOT = Path(__file__).parents[3]
#: The command as it is installed: a script, which looks for modules beside itself and not where it is run.
FEWBITS = str(Path(sys.executable).parent / "fewbits")
#: Packages that are imported under another name than they are installed by.
IMPORTED_AS = {"keras-tuner": "keras_tuner", "scikit-learn": "sklearn"}


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing of the extra were installed."""
    monkeypatch.setattr(installation, "find_spec", lambda name: None)


def test_what_a_worker_needs_is_what_its_extra_installs() -> None:
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["worker"]
    names = {requirement.partition(">")[0] for requirement in extra}
    assert {IMPORTED_AS.get(name, name) for name in names} == set(WORKER_PACKAGES)
    assert cannot_train() is None


def test_another_backend_is_looked_for_in_place_of_tensorflow(
    plain: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert "jax" in installation.missing_packages()
    assert "tensorflow" not in installation.missing_packages()


@pytest.mark.usefixtures("plain")
def test_a_plain_installation_serves_without_a_worker_and_says_so_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FEWBITS_HOME", str(tmp_path))
    started: list[Any] = []
    monkeypatch.setattr(serving, "Supervisor", started.append)
    monkeypatch.setattr(serving.logs, "configure", lambda _: None)
    monkeypatch.setattr(serving.signal, "signal", lambda *_: None)
    monkeypatch.setattr(serving.uvicorn.Server, "run", lambda _, sockets: [one.close() for one in sockets])
    with caplog.at_level(logging.ERROR):
        serving.serve_here(host=None, port=0, workers=None)
    assert started == []
    assert "pip install 'fewbits[worker]'" in caplog.text
    assert "tensorflow" in caplog.text


@pytest.mark.usefixtures("plain")
def test_a_plain_installation_runs_no_worker() -> None:
    answer = CliRunner().invoke(app, ["worker"])
    assert answer.exit_code == 1
    assert "pip install 'fewbits[worker]'" in answer.output


@pytest.mark.usefixtures("plain")
def test_readiness_names_what_is_missing(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    database = Database(settings.database)
    upgrade(database.engine)
    assert "pip install 'fewbits[worker]'" in worker_state(database, settings)
    database.dispose()


def test_no_command_imports_a_file_of_the_current_folder(shadows: Path) -> None:
    commands = [
        *([FEWBITS, *arguments] for arguments in (("cost", "jet_mlp"), ("migrate",), ("worker", "--help"))),
        module_command("worker", "--help"),
        module_command("worker.rerun", "--help"),
        module_command(
            "service.cli.supervisor", str(os.getpid()), sys.executable, "-c", "print('usage: started')"
        ),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FEWBITS_HOME": str(shadows / "home")}
    for command in commands:
        done = subprocess.run(command, cwd=shadows, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (command, done.stderr)
