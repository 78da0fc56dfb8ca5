"""Downloads from a service that lies: nothing more is written than was declared, and nowhere else."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import httpx
import pytest

from service.client.errors import Damaged
from service.client.files import Download, plain_name

CONTENT = b"0123456789"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def answer(content: bytes = CONTENT, status: int = 200, **headers: str) -> httpx.Response:
    usual = {"etag": f'"{SHA256}"', "content-length": str(len(CONTENT))}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, headers=usual | named, stream=httpx.ByteStream(content))


def received(folder: Path, response: httpx.Response, size_bytes: int | None = None) -> Path:
    download = Download(folder, "model.keras", size_bytes)
    assert download.headers()["Accept-Encoding"] == "identity"
    try:
        if download.begin(response):
            for chunk in response.iter_bytes(4):
                download.write(chunk)
    finally:
        download.pause()
    return download.finish()


def written_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_what_is_declared_is_written(tmp_path: Path) -> None:
    assert received(tmp_path, answer(), len(CONTENT)).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("response", "size_bytes"),
    [
        (answer(CONTENT * 1000), None),
        (answer(CONTENT * 1000, content_length="x"), len(CONTENT)),
        (answer(CONTENT * 1000, content_length="10000"), len(CONTENT)),
        (answer(gzip.compress(bytes(1 << 20)), content_encoding="gzip"), None),
        (answer(etag='"../../../tmp/x"'), None),
        (answer(etag=""), None),
    ],
    ids=["longer", "no length", "another length", "compressed", "etag with a path", "no etag"],
)
def test_nothing_more_is_written_than_was_declared(
    tmp_path: Path, response: httpx.Response, size_bytes: int | None
) -> None:
    folder = tmp_path / "out"
    with pytest.raises(Damaged):
        received(folder, response, size_bytes)
    assert written_bytes(folder) <= len(CONTENT)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_continued_download_is_limited_as_a_whole(tmp_path: Path) -> None:
    part = tmp_path / f".model.keras.{SHA256}.part"
    part.write_bytes(CONTENT[:6])
    with pytest.raises(Damaged, match="more bytes"):
        received(tmp_path, answer(CONTENT[6:] + b"more", 206, content_length="8"), len(CONTENT))
    part.write_bytes(CONTENT[:6])
    assert (
        received(tmp_path, answer(CONTENT[6:], 206, content_length="4"), len(CONTENT)).read_bytes() == CONTENT
    )


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/etc/passwd", "a\\b", "a\0b", "a\nb", "\x1b[31m", "\ud800"]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Damaged, match="names a file"):
        plain_name(name)
    with pytest.raises(Damaged):
        Download(tmp_path / "out", name)


def test_usual_names_are_plain() -> None:
    for name in ("model.keras", "final-report.json", "weights.npz", "größe.txt"):
        assert plain_name(name) == name
