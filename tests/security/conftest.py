"""The application with keys of two tenants, and a job of one tenant with a measured trial."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from fastapi import FastAPI

from service.app import create_app
from service.auth import keys, tokens
from service.auth.scopes import KeyScope
from service.settings import Settings
from tests.service.conftest import URL, TestClient, filler, job, migrated, settings  # noqa: F401 -- fixtures
from tests.service.filled import Filled, Filler


@dataclass(frozen=True)
class Keys:
    """Headers by who sends them; `other` is an admin of another tenant, `operator` one of the tenant `local`."""

    by_name: dict[str, str] = field(repr=False)

    def __getitem__(self, name: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.by_name[name]}"} if name in self.by_name else {}


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a hash costs is not what these tests are about."""
    monkeypatch.setattr(tokens, "_N", 16)


@pytest.fixture
def app(settings: Settings) -> FastAPI:  # noqa: F811
    """An application that does not count requests."""
    return create_app(settings.model_copy(update={"requests_per_minute": 0}))


@pytest.fixture
def api_keys(app: FastAPI) -> Keys:
    """A key of each kind."""
    owners = {
        "read": ("acme", KeyScope.READ),
        "submit": ("acme", KeyScope.SUBMIT),
        "admin": ("acme", KeyScope.ADMIN),
        "other": ("rival", KeyScope.ADMIN),
        "operator": ("local", KeyScope.ADMIN),
    }
    with app.state.database.transaction() as session:
        return Keys(
            {
                name: str(keys.create(session, tenant=tenant, name=name, scope=scope)[1])
                for name, (tenant, scope) in owners.items()
            }
        )


@pytest.fixture
def http(app: FastAPI) -> Iterator[TestClient]:
    """A connection into the application; a fault of the service is an answer, not an exception."""
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def filled(app: FastAPI, filler: Filler) -> Filled:  # noqa: F811
    """A job of the tenant acme with one measured trial and one in the queue."""
    mine = Filler(app.state.database.for_tenant("acme"), app.state.blobs, filler.folder)
    stored = mine.job()
    measured, _ = mine.queue(stored, 2)
    mine.measure(stored, measured)
    return stored
