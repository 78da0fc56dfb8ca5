"""fewbits upload, and the client's uploads: over the application, and over a real socket that breaks."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient
from typer.testing import CliRunner

from service.cli import app as cli
from service.client import (
    AsyncSearchClient,
    Conflict,
    Invalid,
    NotUploadable,
    Retry,
    SearchClient,
    Unreachable,
)
from tests.security.models import architecture, keras_file
from tests.security.test_hostile_data import npz
from tests.service.conftest import URL

MODEL = keras_file()
QUICKLY = Retry(first_s=0.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.keras"
    path.write_bytes(MODEL)
    return path


def test_a_model_is_uploaded_and_listed(client: SearchClient, file: Path) -> None:
    found = client.upload_model(file)
    assert (found.name, found.status) == ("mine.keras", "complete")
    assert found.sha256 == hashlib.sha256(MODEL).hexdigest()
    listed = client.models()
    assert listed[0].kind == "zoo"
    assert listed[-1].id == found.id
    client.delete_model(found.id)
    assert client.models()[-1].kind == "zoo"


def test_a_data_set_is_uploaded_and_listed(client: SearchClient, tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    path.write_bytes(npz())
    found = client.upload_dataset(path, "jets")
    assert found.name == "jets"
    assert [item.id for item in client.datasets()] == [found.id]
    client.delete_dataset(found.id)
    assert client.datasets() == ()


def test_known_content_is_not_sent_again(
    client: SearchClient, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.upload_model(file)
    monkeypatch.setattr(SearchClient, "_send", lambda *_: pytest.fail("it was sent again"))
    assert client.upload_model(file) == first


def test_what_is_plainly_no_model_is_not_sent(http: TestClient, client: SearchClient, tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(NotUploadable, match=r"\.h5"):
        client.upload_model(path)
    with pytest.raises(NotUploadable, match="No such file"):
        client.upload_model(tmp_path / "none.keras")
    assert http.get("/v1/models").json()["items"][-1]["kind"] == "zoo"


def test_what_the_service_refuses_is_told(client: SearchClient, tmp_path: Path) -> None:
    path = tmp_path / "evil.json"
    document = architecture()
    document["config"]["layers"][1]["class_name"] = "Lambda"
    path.write_text(json.dumps(document))
    with pytest.raises(Invalid, match="Lambda"):
        client.upload_model(path)


def test_a_model_in_use_is_a_conflict(client: SearchClient, file: Path, tmp_path: Path) -> None:
    (tmp_path / "data.npz").write_bytes(npz())
    model, data = client.upload_model(file), client.upload_dataset(tmp_path / "data.npz")
    client.submit(
        {
            "model": {"kind": "uploaded", "id": model.id},
            "data": {"kind": "uploaded", "id": data.id},
            "limits": {"by_class": {"Dense": [8, 8, 4]}},
        }
    )
    with pytest.raises(Conflict, match="have not ended"):
        client.delete_model(model.id)


class Breaking(httpx.BaseTransport):
    """A connection that breaks in the middle of a body, twice."""

    def __init__(self, inner: TestClient) -> None:
        self.inner = inner
        self.sent: list[tuple[str, int]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        headers = dict(request.headers) | {"accept-encoding": "identity"}
        is_content = request.method == "PATCH"
        breaks = is_content and len(self.sent) < 2
        if is_content:
            self.sent.append((headers["upload-offset"], len(body)))
        if breaks:
            body = body[: len(body) // 2]
            headers["content-length"] = str(len(body))
        answer = self.inner.request(request.method, str(request.url), content=body, headers=headers)
        if breaks:
            raise httpx.ReadError("the connection broke")
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


def test_a_broken_upload_goes_on_where_it_was(http: TestClient, file: Path) -> None:
    transport = Breaking(http)
    client = SearchClient(URL, retry=QUICKLY, http=httpx.Client(transport=transport, base_url=URL))
    assert client.upload_model(file).status == "complete"
    size, half = len(MODEL), len(MODEL) // 2
    quarter = (size - half) // 2
    assert transport.sent == [
        ("0", size),
        (str(half), size - half),
        (str(half + quarter), size - half - quarter),
    ]


def test_an_upload_that_never_arrives_is_given_up(file: Path) -> None:
    with (
        SearchClient("http://127.0.0.1:9", retry=QUICKLY) as client,
        pytest.raises(Unreachable),
    ):
        client.upload_model(file)


def test_the_asynchronous_client_uploads_too(
    app: FastAPI, http: TestClient, file: Path, tmp_path: Path
) -> None:
    (tmp_path / "data.npz").write_bytes(npz())

    async def run() -> Any:
        connection = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL)
        async with AsyncSearchClient(URL, http=connection) as client:
            model = await client.upload_model(file)
            data = await client.upload_dataset(tmp_path / "data.npz")
            listed = (await client.models())[-1].id, (await client.datasets())[0].id
            await client.delete_model(model.id)
            await client.delete_dataset(data.id)
            return (model.id, data.id) == listed

    assert anyio.run(run)


# --- the command line ----------------------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, client: SearchClient) -> Any:
    """Run a command against the application in this process."""
    from contextlib import contextmanager

    @contextmanager
    def connected(_: str) -> Any:
        yield client

    monkeypatch.setattr("service.cli.connection.connect", connected)
    return lambda *arguments: CliRunner().invoke(cli, list(arguments), catch_exceptions=False)


def test_the_commands_upload_list_and_delete(run: Any, file: Path, tmp_path: Path) -> None:
    (tmp_path / "jets.npz").write_bytes(npz())
    told = run("upload", str(file), "--name", "my tagger")
    assert told.exit_code == 0, told.output
    assert "with weights" in told.output
    assert "model: {kind: uploaded, id: " in told.output
    model_id = told.output.partition("id: ")[2][:16]
    assert "data: {kind: uploaded" in run("upload", str(tmp_path / "jets.npz")).output
    assert "my tagger" in run("models").output
    assert model_id in run("models", "--json").output
    assert "x_train 40x16" in run("datasets").output
    assert run("models", "--delete", model_id).exit_code == 0
    assert model_id not in run("models").output
