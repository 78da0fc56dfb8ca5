"""The application over a migrated database, in this process."""

from __future__ import annotations

import copy
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from fastapi import FastAPI
from typer.testing import CliRunner

from service.app import create_app
from service.cli import app as command
from service.cli import connection
from service.client import SearchClient
from service.settings import Settings
from service.store.migrate import upgrade
from service.store.session import Database
from tests.service.filled import JOB, Filler
from tests.service.pricing import PROFILE

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Starlette asks for another HTTP client than the one fewbits uses
    from starlette.testclient import TestClient

URL = "http://127.0.0.1:8765"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database that the migrations built."""
    path = tmp_path_factory.mktemp("migrated") / "fewbits.db"
    empty = Database(f"sqlite:///{path}")
    upgrade(empty.engine)
    empty.dispose()
    return path


@pytest.fixture
def settings(tmp_path: Path, migrated: Path) -> Settings:
    """Embedded settings whose database is migrated; requests are computed in this process."""
    shutil.copy(migrated, tmp_path / "fewbits.db")
    return Settings(home=tmp_path, compute_processes=0)


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """The application."""
    return create_app(settings)


@pytest.fixture
def http(app: FastAPI) -> Iterator[TestClient]:
    """A connection into the application; a fault of the service is an answer, not an exception."""
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(http: TestClient) -> SearchClient:
    """The client, over the application in this process."""
    return SearchClient(URL, http=http)


@pytest.fixture
def filler(app: FastAPI, tmp_path: Path) -> Filler:
    """Plays the worker."""
    folder = tmp_path / "files"
    folder.mkdir()
    return Filler(app.state.database, app.state.blobs, folder)


@pytest.fixture
def job() -> dict[str, Any]:
    """A job that can run."""
    return copy.deepcopy(JOB)


@pytest.fixture
def messages(settings: Settings) -> Path:
    """The folder of the messages that were sent."""
    return settings.home / "queue" / "messages"


#: Runs `fewbits` with arguments.
Run = Callable[..., Result]


@pytest.fixture
def run(client: SearchClient, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `fewbits` with these arguments against the application in this process."""
    monkeypatch.setattr(connection, "SearchClient", lambda _url, **_: nullcontext(client))

    def run_command(*arguments: str, **options: Any) -> Result:
        return CliRunner().invoke(command, list(arguments), **options)

    return run_command


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    """A user's profile."""
    path = tmp_path / "mine.toml"
    path.write_text(PROFILE)
    return path
