"""The files of uploads, as they were sent."""

from __future__ import annotations

import hashlib

import pytest
from starlette.testclient import TestClient

from tests.service.api.test_uploads import DATA, MODEL, declare, upload


@pytest.mark.parametrize(("resource", "data"), [("models", MODEL), ("datasets", DATA)])
def test_an_upload_is_downloaded_as_it_was_sent(http: TestClient, resource: str, data: bytes) -> None:
    path = f"/v1/{resource}/{upload(http, data, resource, name='größe.bin')['id']}/content"
    answer = http.get(path, headers={"Accept-Encoding": "gzip"})
    assert answer.content == data
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["etag"] == f'"{hashlib.sha256(data).hexdigest()}"'
    assert http.get(path, headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    part = http.get(path, headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, data[2:6])


def test_an_incomplete_upload_has_no_content(http: TestClient) -> None:
    answer = http.get(f"{declare(http, MODEL)}/content")
    assert answer.status_code == 409
    assert "incomplete" in answer.json()["detail"]
