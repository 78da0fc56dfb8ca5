"""Sends hostile files to a service, and checks what they leave behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from service.app import create_app
from service.settings import Settings
from tests.databases import migrate
from tests.service.conftest import URL, TestClient


@dataclass(frozen=True)
class Target:
    """A service, the folders it may write to, and a file that only code out of an upload would make."""

    http: TestClient
    blobs: Path
    temporary: Path
    canary: Path

    def send(self, resource: str, data: bytes) -> Any:
        """Upload a file; the last answer."""
        declared = self.http.post(f"/v1/{resource}", json={"name": "a file", "size_bytes": len(data)})
        assert declared.status_code == 201, declared.text
        return self.http.put(f"{declared.headers['location']}/content", content=data)

    def assert_refused(self, resource: str, data: bytes, word: str) -> None:
        """The file is refused for this reason, nothing of it is left, and nothing ran."""
        answer = self.send(resource, data)
        assert answer.status_code in (413, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["type"] == "urn:fewbits:problem:refused-upload"
        assert word in problem["detail"], problem["detail"]
        assert len(problem["detail"]) < 2000
        assert problem["detail"].isprintable()
        self.assert_untouched(resource)

    def assert_untouched(self, resource: str) -> None:
        """No bytes on disk, no row, no canary."""
        assert [path for path in self.blobs.rglob("*") if path.is_file()] == []
        assert list(self.temporary.iterdir()) == []
        items = self.http.get(f"/v1/{resource}").json()["items"]
        assert [item for item in items if item.get("id")] == []
        assert not self.canary.exists()


@contextmanager
def target(folder: Path) -> Iterator[Target]:
    """A service whose temporary files all lie in a folder of their own."""
    settings = Settings(home=folder / "home", requests_per_minute=0)
    app = create_app(settings)
    migrate(app.state.database.engine)
    temporary = folder / "tmp"
    temporary.mkdir()
    with pytest.MonkeyPatch.context() as patch, TestClient(app, base_url=URL) as http:
        patch.setattr(tempfile, "tempdir", str(temporary))
        patch.setenv("TMPDIR", str(temporary))
        yield Target(http, settings.blob_folder, temporary, folder / "canary")
