"""The blob store in a bucket, by the S3 protocol: content under its SHA-256, and a cache of it on each machine.

What the protocol or the network does not do now is a `ConnectionError`: it may work later (`session.is_retryable`).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

import boto3
from boto3.exceptions import S3UploadFailedError
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection

from service.store.blob_cache import BlobCache
from service.store.blobs import ADDRESS, Blob, BlobStore

#: Bytes that are written at once.
_CHUNK_BYTES: Final = 1 << 18
#: Files above this size are sent in parts of this size, four at a time.
_PART_BYTES: Final = 16 << 20
#: Seconds for a connection, and between two pieces of an answer; attempts at each request, with pauses that double.
_CONNECT_S, _READ_S, _ATTEMPTS = 5, 30, 4
#: How much the clock of the bucket may differ from that of the database.
_SKEW: Final = timedelta(minutes=5)
_LINK_S: Final = 300
_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})
#: What the server says where the same request may work later.
_PASSING: Final = frozenset(
    (
        "InternalError",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "RequestTimeTooSkewed",
    )
)


class BucketDown(ConnectionError):
    """The bucket does not answer, or not now."""


class _BrokenOff(BucketDown):
    """The connection ended within the content."""


class BucketRefused(OSError):
    """The bucket refuses: its name, the credentials or their rights are not right."""


class S3BlobStore(BlobStore):
    """Content in a bucket. `cache_folder` keeps up to about `cache_bytes` of it; credentials are those of the process:
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or the role of the machine.
    """

    def __init__(
        self, url: str, cache_folder: Path, cache_bytes: int, *, endpoint: str = "", links: bool = False
    ) -> None:
        super().__init__(cache_folder)
        parts = urlsplit(url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._endpoint, self._gives_links = endpoint or None, links
        self._cache = BlobCache(cache_folder, cache_bytes)

    @cached_property
    def _client(self) -> Any:
        """Made when it is first needed: processes that fork before have none in common."""
        config = Config(
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
            # others than Amazon know no checksums but MD5: content is checked by its own address
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            signature_version="s3v4",
            s3={"addressing_style": "path" if self._endpoint else "auto"},
            max_pool_connections=32,
        )
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        return boto3.session.Session(region_name=region).client(
            "s3", endpoint_url=self._endpoint, config=config
        )

    def put(self, source: Path) -> Blob:
        """Send the file, in parts where it is long, and return its address. It is stored when this returns."""
        with open(source, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        size = source.stat().st_size
        self._send(source, sha256, size)
        return Blob(sha256, size)

    def take(self, source: Path, sha256: str) -> Blob:
        """Send a file whose address is known, and keep it in the cache."""
        size = source.stat().st_size
        self._send(source, sha256, size)
        self._cache.put(source, sha256)
        return Blob(sha256, size)

    def _send(self, source: Path, sha256: str, size: int) -> None:
        transfer = TransferConfig(
            multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, max_concurrency=4
        )
        with _faults(f"{size} bytes could not be stored"):
            self._client.upload_file(str(source), self._bucket, self._key(sha256), Config=transfer)

    def path(self, sha256: str) -> Path:
        """The path of the content in the cache, fetched if it is not there. BucketDown, BucketRefused."""
        cached = self._cache.path(sha256)
        if self._cache.hold(sha256):
            return cached
        handle, name = tempfile.mkstemp(dir=self._cache.folder(), prefix=".new-")
        os.close(handle)
        try:
            if self._fetch(sha256, Path(name)):
                self._cache.put(Path(name), sha256)
                self._cache.hold(sha256)
        finally:
            Path(name).unlink(missing_ok=True)
        return cached

    def _fetch(self, sha256: str, target: Path) -> bool:
        """Write the content to a file, checked; False if the bucket has none. What broke off goes on where it ended."""
        for attempt in range(_ATTEMPTS):
            try:
                if not self._append(sha256, target):
                    return False
            except _BrokenOff:
                if attempt + 1 == _ATTEMPTS:
                    raise
                continue
            with target.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                    return True
            target.write_bytes(b"")
        raise BucketDown(f"what the bucket {self._bucket} sends as {sha256} is other content")

    def _append(self, sha256: str, target: Path) -> bool:
        """Append what is missing at the end of a file; False if the bucket has no such content."""
        start = target.stat().st_size
        with _faults(f"{sha256} could not be fetched"):
            more = {"Range": f"bytes={start}-"} if start else {}
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._key(sha256), **more)
            except ClientError as error:
                if _code(error) == "InvalidRange":  # nothing is missing
                    return True
                if _code(error) in _MISSING:
                    return False
                raise
        try:
            with target.open("ab") as file:
                for chunk in answer["Body"].iter_chunks(_CHUNK_BYTES):
                    file.write(chunk)
        except BotoCoreError as error:
            raise _BrokenOff(f"{sha256} arrived in part ({type(error).__name__})") from None
        return True

    def has(self, sha256: str) -> bool:
        """Whether the bucket has content with this address."""
        return self._stored_at(sha256) is not None

    def is_near(self, sha256: str) -> bool:
        """Whether the content is in the cache."""
        return self._cache.hold(sha256)

    def size(self, sha256: str) -> int | None:
        """Bytes of the content with this address; None if the bucket has none."""
        answer = self._head(sha256)
        return None if answer is None else int(answer["ContentLength"])

    def piece(self, sha256: str, start: int, end: int) -> Iterator[bytes]:
        """Stored content from the byte `start` to before the byte `end`, in chunks. What breaks off goes on where it
        ended. BucketDown, BucketRefused.
        """
        for attempt in range(_ATTEMPTS):
            try:
                for chunk in self._chunks(sha256, start, end):
                    start += len(chunk)
                    yield chunk
            except _BrokenOff:
                if attempt + 1 == _ATTEMPTS:
                    raise
            else:
                return

    def _chunks(self, sha256: str, start: int, end: int) -> Iterator[bytes]:
        if start >= end:
            return
        with _faults(f"{sha256} could not be fetched"):
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._key(sha256), Range=f"bytes={start}-{end - 1}"
            )
        try:
            yield from answer["Body"].iter_chunks(_CHUNK_BYTES)
        except BotoCoreError as error:
            raise _BrokenOff(f"{sha256} arrived in part ({type(error).__name__})") from None

    def _stored_at(self, sha256: str) -> datetime | None:
        """When the content was stored, by the clock of the bucket; None if there is none."""
        answer = self._head(sha256)
        return None if answer is None else answer["LastModified"]

    def _head(self, sha256: str) -> dict[str, Any] | None:
        """What the bucket says of content; None if it has none."""
        with _faults(f"{sha256} could not be looked up"):
            try:
                answer: dict[str, Any] = self._client.head_object(Bucket=self._bucket, Key=self._key(sha256))
            except ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise
            return answer

    def remove_stale(self, sha256: str, before: datetime) -> bool:
        """Remove content that was not put since `before`; False if it was. Missing content counts as removed."""
        moment = self._stored_at(sha256)
        if moment is not None:
            if moment >= before - _SKEW:
                return False
            with _faults(f"{sha256} could not be removed"):
                self._client.delete_object(Bucket=self._bucket, Key=self._key(sha256))
        self._cache.remove(sha256)
        return True

    def addresses(self, before: datetime | None = None) -> Iterator[str]:
        """SHA-256 of all content below the prefix, or of that which was last put before this moment."""
        prefix = f"{self._prefix}/" if self._prefix else ""
        with _faults("the bucket could not be listed"):
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix
            ):
                for entry in page.get("Contents", ()):
                    name = entry["Key"].rpartition("/")[2]
                    is_old = before is None or entry["LastModified"] < before - _SKEW
                    if is_old and ADDRESS.fullmatch(name) and entry["Key"] == self._key(name):
                        yield name

    def remove_unfinished(self, before: datetime) -> int:
        """Abort uploads in parts whose writers died before this moment, and remove what they left here; how many."""
        prefix, count = f"{self._prefix}/" if self._prefix else "", 0
        with _faults("unfinished uploads could not be listed"):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=prefix
            )
            for entry in [entry for page in pages for entry in page.get("Uploads", ())]:
                if entry["Initiated"] < before - _SKEW:
                    self._client.abort_multipart_upload(
                        Bucket=self._bucket, Key=entry["Key"], UploadId=entry["UploadId"]
                    )
                    count += 1
        return count + super().remove_unfinished(before)

    def link(self, sha256: str, filename: str, media_type: str) -> str | None:
        """A signed URL of the content, for five minutes; None where the settings ask for none."""
        if not self._gives_links:
            return None
        parameters = {
            "Bucket": self._bucket,
            "Key": self._key(sha256),
            "ResponseContentDisposition": f"attachment; filename*=utf-8''{quote(filename, safe='')}",
            "ResponseContentType": media_type,
        }
        with _faults("no link could be signed"):
            return str(self._client.generate_presigned_url("get_object", parameters, ExpiresIn=_LINK_S))

    def check(self) -> None:
        """BucketDown or BucketRefused unless content can be stored, read and removed."""
        self._cache.folder()
        key = self._key(".check")
        with _faults("the bucket cannot be used"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=b"")
            self._client.get_object(Bucket=self._bucket, Key=key)
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def _key(self, sha256: str) -> str:
        return "/".join(part for part in (self._prefix, sha256[:2], sha256) if part)


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _faults(what: str) -> Iterator[None]:
    """What the library raises, as errors of the system. Its texts may show keys: they are left out."""
    try:
        yield
    except S3UploadFailedError as error:
        raise _as_ours(what, error.__context__) from None
    except (ClientError, BotoCoreError) as error:
        raise _as_ours(what, error) from None


def _as_ours(what: str, error: BaseException | None) -> BucketDown | BucketRefused:
    if isinstance(error, ClientError):
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        kind = BucketDown if status >= 500 or status == 429 or _code(error) in _PASSING else BucketRefused
        return kind(f"{what}: the bucket answers {status} {_code(error)}")
    if isinstance(error, NoConnection | HTTPClientError):
        return BucketDown(f"{what}: the bucket does not answer ({type(error).__name__})")
    return BucketRefused(f"{what}: {type(error).__name__}")
