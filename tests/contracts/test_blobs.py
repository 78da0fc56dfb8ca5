"""What every blob store does: a folder, and a bucket behind a server of the S3 protocol over HTTP, with faults."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from service.app import create_app
from service.cli import doctor
from service.settings import Settings
from service.store import backups
from service.store.blob_cache import BlobCache
from service.store.blob_stores import NoBucketSupport, open_blobs
from service.store.blobs import BlobStore
from service.store.session import is_retryable
from tests.databases import migrate
from tests.service.conftest import URL, TestClient

if TYPE_CHECKING:
    from tests.s3_server import S3Server

CONTENT = b"some bytes " * 1000


def written(folder: Path, content: bytes = CONTENT, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def address(content: bytes = CONTENT) -> str:
    return hashlib.sha256(content).hexdigest()


class Conformance(ABC):
    """A store, empty at first."""

    @pytest.fixture
    @abstractmethod
    def blobs(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any: ...

    @pytest.mark.parametrize("content", [b"", CONTENT, os.urandom(3 << 20)], ids=["empty", "short", "long"])
    def test_what_is_put_is_read(self, blobs: BlobStore, tmp_path: Path, content: bytes) -> None:
        source = written(tmp_path, content)
        assert not blobs.has(address(content))
        assert not blobs.path(address(content)).is_file()
        blob = blobs.put(source)
        assert (blob.sha256, blob.size_bytes) == (address(content), len(content))
        assert source.read_bytes() == content
        assert blobs.has(blob.sha256)
        assert blobs.path(blob.sha256).read_bytes() == content
        assert blobs.put(source) == blob

    @pytest.mark.parametrize(("start", "end"), [(0, 1), (7, 4000), (10_999, 11_000), (0, 11_000), (5, 5)])
    def test_a_piece_is_read(self, blobs: BlobStore, tmp_path: Path, start: int, end: int) -> None:
        assert blobs.size(address()) is None
        blobs.put(written(tmp_path))
        assert blobs.size(address()) == len(CONTENT) == 11_000
        assert b"".join(blobs.piece(address(), start, end)) == CONTENT[start:end]

    def test_several_files_are_put_at_once(self, blobs: BlobStore, tmp_path: Path) -> None:
        sources = [written(tmp_path, str(number).encode(), str(number)) for number in range(12)]
        stored = blobs.put_all(sources)
        assert {name: blobs.path(blob.sha256).read_text() for name, blob in stored.items()} == {
            str(number): str(number) for number in range(12)
        }

    def test_a_file_is_taken(self, blobs: BlobStore, tmp_path: Path) -> None:
        source = written(blobs.path("00" * 32).parents[1], name=".part")
        assert blobs.take(source, address()).size_bytes == len(CONTENT)
        assert not source.exists()
        assert blobs.path(address()).read_bytes() == CONTENT

    def test_only_what_was_not_put_lately_is_removed(self, blobs: BlobStore, tmp_path: Path) -> None:
        source, now = written(tmp_path), datetime.now(UTC)
        blobs.put(source)
        assert not blobs.remove_stale(address(), now - timedelta(hours=1))
        assert blobs.has(address())
        assert blobs.remove_stale(address(), now + timedelta(hours=1))
        assert not blobs.has(address())
        assert not blobs.path(address()).is_file()
        assert blobs.remove_stale(address(), now)
        blobs.put(source)
        assert blobs.path(address()).read_bytes() == CONTENT

    def test_what_is_stored_is_listed(self, blobs: BlobStore, tmp_path: Path) -> None:
        for content in (b"one", b"two"):
            blobs.put(written(tmp_path, content))
        later = datetime.now(UTC) + timedelta(hours=1)
        for moment in (None, later):
            assert sorted(blobs.addresses(moment)) == sorted(map(address, (b"one", b"two")))
        assert not list(blobs.addresses(later - timedelta(hours=2)))
        assert blobs.remove_unfinished(later) == 0

    def test_a_store_that_works_says_so(self, blobs: BlobStore) -> None:
        blobs.check()


class TestFolder(Conformance):
    @pytest.fixture
    def blobs(self, request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
        (tmp_path / "blobs").mkdir()
        return BlobStore(tmp_path / "blobs")


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    pytest.importorskip("moto", reason="moto is not installed")
    pytest.importorskip("boto3", reason="the extra s3 is not installed")
    from tests.s3_server import S3Server

    with S3Server() as server:
        yield server


@pytest.fixture
def bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The URL of a bucket of the test's own, which the process may use."""
    for name, value in (("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
    name = "b" + hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:20]
    server.reset()
    server.create(name)
    return f"s3://{name}/some/where"


def opened(server: S3Server, url: str, folder: Path, cache_bytes: int = 1 << 30, **options: Any) -> BlobStore:
    """A machine's store."""
    from service.store.s3_blobs import S3BlobStore

    folder.mkdir(exist_ok=True)
    return S3BlobStore(url, folder, cache_bytes, endpoint=server.url, **options)


class TestBucket(Conformance):
    @pytest.fixture
    def blobs(self, request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
        server, url = request.getfixturevalue("server"), request.getfixturevalue("bucket")
        return opened(server, url, tmp_path / "cache")

    def test_other_machines_read_what_one_has_stored(
        self, server: S3Server, bucket: str, tmp_path: Path
    ) -> None:
        one, other = (opened(server, bucket, tmp_path / name) for name in ("one", "other"))
        one.put(written(tmp_path))
        assert other.path(address()).read_bytes() == CONTENT
        fetched = server.count("GET")
        assert other.path(address()).read_bytes() == CONTENT
        assert server.count("GET") == fetched, "it is in the cache"
        assert opened(server, f"{bucket}/else", tmp_path / "third").has(address()) is False

    def test_long_files_are_sent_in_parts(
        self, server: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("service.store.s3_blobs._PART_BYTES", 5 << 20)
        content = os.urandom(12 << 20)
        opened(server, bucket, tmp_path / "one").put(written(tmp_path, content))
        assert server.count("PUT") == 3
        assert opened(server, bucket, tmp_path / "two").path(address(content)).read_bytes() == content

    def test_parts_of_what_was_never_finished_are_removed(
        self, server: S3Server, bucket: str, tmp_path: Path
    ) -> None:
        blobs, later = opened(server, bucket, tmp_path / "one"), datetime.now(UTC) + timedelta(hours=1)
        server.begin_upload(bucket, address())
        assert blobs.remove_unfinished(datetime(2000, 1, 1, tzinfo=UTC)) == 0  # moto dates all to 2010
        assert (blobs.remove_unfinished(later), blobs.remove_unfinished(later)) == (1, 0)

    def test_a_backup_of_a_bucket_is_restored_into_another(
        self, server: S3Server, bucket: str, tmp_path: Path
    ) -> None:
        one, other = (opened(server, f"{bucket}/{name}", tmp_path / name) for name in ("one", "other"))
        one.put(written(tmp_path))
        backup = BlobStore(tmp_path / "backup")
        backups._copy_blobs(one, backup)
        backups._copy_blobs(backup, other)
        assert other.path(address()).read_bytes() == CONTENT

    def test_links_are_signed(self, server: S3Server, bucket: str, tmp_path: Path) -> None:
        assert opened(server, bucket, tmp_path / "one").link(address(), "a.npz", "text/plain") is None
        blobs = opened(server, bucket, tmp_path / "two", links=True)
        blobs.put(written(tmp_path))
        link = blobs.link(address(), "größe.npz", "application/zip")
        assert link is not None
        answer = httpx.get(link)
        assert answer.content == CONTENT
        assert answer.headers["content-type"] == "application/zip"
        assert "gr%C3%B6%C3%9Fe.npz" in answer.headers["content-disposition"]

    # --- faults ---

    @pytest.mark.parametrize("status", [500, 503, 429])
    def test_what_the_bucket_does_not_do_now_is_tried_again(
        self, server: S3Server, bucket: str, tmp_path: Path, status: int
    ) -> None:
        blobs, other = opened(server, bucket, tmp_path / "one"), opened(server, bucket, tmp_path / "two")
        server.fail(status, times=2)
        blobs.put(written(tmp_path))
        server.fail(status, times=2)
        assert other.path(address()).read_bytes() == CONTENT

    def test_what_it_does_not_do_for_long_is_retryable(
        self, server: S3Server, bucket: str, tmp_path: Path
    ) -> None:
        blobs = opened(server, bucket, tmp_path / "one")
        source = written(tmp_path)
        blobs.put(source)
        server.fail(503, times=1000)
        for action in (
            lambda: blobs.put(source),
            lambda: blobs.path(address()),
            lambda: blobs.has(address()),
            lambda: blobs.remove_stale(address(), datetime.now(UTC)),
            blobs.check,
        ):
            with pytest.raises(ConnectionError) as down:
                action()
            assert is_retryable(down.value)
            assert "secret" not in str(down.value)

    def test_an_answer_that_is_cut_goes_on_where_it_ended(
        self, server: S3Server, bucket: str, tmp_path: Path
    ) -> None:
        content = os.urandom(4 << 20)
        opened(server, bucket, tmp_path / "one").put(written(tmp_path, content))
        server.cut(after_bytes=3 << 20, times=1)
        assert opened(server, bucket, tmp_path / "two").path(address(content)).read_bytes() == content
        assert server.ranges == [f"bytes={3 << 20}-"]
        server.cut(after_bytes=1000, times=1000)
        with pytest.raises(ConnectionError):
            opened(server, bucket, tmp_path / "three").path(address(content))
        assert not [path for path in (tmp_path / "three").rglob("*") if path.is_file()]

    def test_a_piece_is_fetched_alone_and_goes_on_where_it_broke_off(
        self, server: S3Server, bucket: str, tmp_path: Path
    ) -> None:
        content = os.urandom(4 << 20)
        opened(server, bucket, tmp_path / "one").put(written(tmp_path, content))
        other = opened(server, bucket, tmp_path / "two")
        server.cut(after_bytes=1 << 20, times=1)
        assert b"".join(other.piece(address(content), 1000, 3 << 20)) == content[1000 : 3 << 20]
        assert server.ranges == [f"bytes=1000-{(3 << 20) - 1}", f"bytes={1000 + (1 << 20)}-{(3 << 20) - 1}"]
        assert not other.is_near(address(content))
        server.cut(after_bytes=1000, times=1000)
        with pytest.raises(ConnectionError):
            list(other.piece(address(content), 0, 3 << 20))

    def test_other_content_is_not_believed(self, server: S3Server, bucket: str, tmp_path: Path) -> None:
        blobs = opened(server, bucket, tmp_path / "one")
        blobs.put(written(tmp_path))
        server.overwrite(bucket, address(), b"other bytes")
        with pytest.raises(ConnectionError, match="other content"):
            blobs.path(address())
        assert not [path for path in (tmp_path / "one").rglob("*") if path.is_file()]

    def test_a_server_that_is_not_there_is_retryable(self, bucket: str, tmp_path: Path) -> None:
        from service.store.s3_blobs import S3BlobStore

        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        blobs = S3BlobStore(bucket, tmp_path, 1000, endpoint=f"http://127.0.0.1:{port}")
        with pytest.raises(ConnectionError) as down:
            blobs.put(written(tmp_path))
        assert is_retryable(down.value)

    def test_a_bucket_that_is_not_ours_is_no_fault_that_passes(
        self, server: S3Server, bucket: str, tmp_path: Path
    ) -> None:
        blobs = opened(server, "s3://nobody-has-this", tmp_path / "one")
        with pytest.raises(OSError, match="404 NoSuchBucket") as refused:
            blobs.check()
        assert not is_retryable(refused.value)


# --- the cache -------------------------------------------------------------------------------------------------------


def keep(cache: BlobCache, name: str, size: int) -> None:
    source = cache.folder() / ".new"
    source.write_bytes(bytes(size))
    cache.put(source, name)


def test_a_cache_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = BlobCache(tmp_path, 100)
    for number, name in enumerate(("aa1", "aa2", "bb3")):
        keep(cache, name, 30)
        os.utime(cache.path(name), (number, number))
    keep(BlobCache(tmp_path, 100), "cc4", 50)
    assert [cache.path(name).exists() for name in ("aa1", "aa2", "bb3", "cc4")] == [False, False, True, True]


def test_a_cache_removes_nothing_that_a_process_holds(tmp_path: Path) -> None:
    cache, other = BlobCache(tmp_path, 50), BlobCache(tmp_path, 50)
    keep(cache, "aa1", 30)
    assert cache.hold("aa1")
    assert not cache.hold("aa2")
    os.utime(cache.path("aa1"), (1, 1))
    keep(other, "bb2", 30)
    keep(other, "cc3", 30)
    assert [other.path(name).exists() for name in ("aa1", "bb2", "cc3")] == [True, False, True]
    cache.remove("aa1")
    assert not cache.hold("aa1")


# --- a service -------------------------------------------------------------------------------------------------------


def assert_ranges_are_served(machine: TestClient, path: str, content: bytes) -> None:
    """As of a file that is there."""
    size = len(content)
    for stated, start, end in (
        ("9-", 9, size),
        ("-4", size - 4, size),
        (f"{size - 1}-{size + 9}", size - 1, size),
    ):
        part = machine.get(path, headers={"range": f"bytes={stated}"})
        assert (part.status_code, part.content) == (206, content[start:end])
        assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
        assert int(part.headers["content-length"]) == end - start
        assert part.headers["etag"] == f'"{address(content)}"'
        assert 'filename="d.npz"' in part.headers["content-disposition"]
    refused = machine.get(path, headers={"range": f"bytes={size}-"})
    assert (refused.status_code, refused.headers["content-range"]) == (416, f"bytes */{size}")
    assert refused.json()["type"] == "urn:fewbits:problem:range-not-satisfiable"


def test_a_service_keeps_its_files_in_a_bucket(server: S3Server, bucket: str, tmp_path: Path) -> None:
    """Two API processes on two machines, which share the database and the bucket."""

    def machine(name: str, **changes: Any) -> TestClient:
        settings = Settings(
            home=tmp_path, blob_dir=tmp_path / name, blobs=bucket, blobs_endpoint=server.url, **changes
        )
        app = create_app(settings)
        migrate(app.state.database.engine)
        return TestClient(app, base_url=URL, follow_redirects=False)

    data = io.BytesIO()
    np.savez(data, x_train=np.zeros((8, 3), np.float32), y_train=np.arange(8) % 2)
    content = data.getvalue()
    with machine("one") as one, machine("two") as two, machine("three", blobs_links=True) as three:
        declared = one.post("/v1/datasets", json={"name": "d.npz", "size_bytes": len(content)})
        path = f"{declared.headers['location']}/content"
        server.fail(503, times=100)
        refused = one.put(path, content=content)
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        server.reset()
        assert one.put(path, content=content).json()["status"] == "complete"
        server.reset()
        part = two.get(path, headers={"range": "bytes=2-5"})
        assert (part.status_code, part.content) == (206, content[2:6])
        assert server.ranges == ["bytes=2-5"]
        assert not [file for file in (tmp_path / "two").rglob("*") if file.is_file()], "the whole was fetched"
        assert_ranges_are_served(two, path, content)
        assert server.count("GET") == len(server.ranges)
        server.fail(503, times=1000)
        assert two.get(path, headers={"range": "bytes=2-5"}).status_code == 503
        server.reset()
        assert two.get(path).content == content
        assert two.get(path, headers={"range": "bytes=2-5"}).content == content[2:6]
        answer = three.get(path)
        assert answer.status_code == 307
        assert httpx.get(answer.headers["location"], headers={"range": "bytes=2-5"}).content == content[2:6]
        assert not [file for file in (tmp_path / "three").rglob("*") if file.is_file()]


def test_settings_without_the_library_say_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    monkeypatch.delitem(sys.modules, "service.store.s3_blobs", raising=False)
    with pytest.raises(NoBucketSupport, match=r"fewbits\[s3\]"):
        open_blobs(Settings(home=tmp_path, blobs="s3://bucket"))
    assert type(open_blobs(Settings(home=tmp_path))) is BlobStore


def test_doctor_tries_the_bucket(server: S3Server, bucket: str, tmp_path: Path) -> None:
    def finding(**changes: Any) -> doctor.Finding:
        settings = {"home": tmp_path, "blobs": bucket, "blobs_endpoint": server.url} | changes
        return doctor._bucket(Settings(**settings))

    assert finding().state is doctor.State.OK
    assert "the bucket's name" in finding(blobs="s3://nobody-has-this").remedy
    server.fail(503, times=100)
    assert "FEWBITS_BLOBS_ENDPOINT" in finding().remedy
