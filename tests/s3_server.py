"""moto's server of the S3 protocol on loopback, in a thread, which fails as a test asks for."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: Any) -> None: ...
    def log(self, *_: Any) -> None: ...


class S3Server:
    """Counts requests by method; `ranges` are those that were asked for since the last reset."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self.reset()

    def reset(self) -> None:
        """Forget counts and faults."""
        self._counts: Counter[str] = Counter()
        self.ranges: list[str] = []
        self._failing, self._status = 0, 503
        self._cutting, self._cut_after = 0, 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )

    def create(self, bucket: str) -> None:
        """A bucket."""
        self._client.create_bucket(Bucket=bucket)
        self.reset()

    def overwrite(self, url: str, sha256: str, content: bytes) -> None:
        """Other content under an address."""
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._client.put_object(Bucket=bucket, Key=f"{prefix}/{sha256[:2]}/{sha256}", Body=content)

    def begin_upload(self, url: str, sha256: str) -> None:
        """An upload in parts that nobody ends."""
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._client.create_multipart_upload(Bucket=bucket, Key=f"{prefix}/{sha256[:2]}/{sha256}")

    def count(self, method: str) -> int:
        """Requests with a method since the last reset."""
        return self._counts[method]

    def fail(self, status: int, times: int) -> None:
        """Answer the next requests with this status."""
        self._status, self._failing = status, times

    def cut(self, after_bytes: int, times: int) -> None:
        """Break off the next answers to GET after so many bytes."""
        self._cut_after, self._cutting = after_bytes, times

    def _serve(self, environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method = environment["REQUEST_METHOD"]
        self._counts[method] += 1
        if "HTTP_RANGE" in environment:
            self.ranges.append(environment["HTTP_RANGE"])
        if self._failing:
            self._failing -= 1
            environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
            start(f"{self._status} Failing", [("Content-Length", "0")])
            return [b""]
        answer: Iterable[bytes] = self._moto(environment, start)
        if method == "GET" and self._cutting:
            self._cutting -= 1
            return self._broken(b"".join(answer))
        return answer

    def _broken(self, body: bytes) -> Iterable[bytes]:
        yield body[: self._cut_after]
        raise ConnectionResetError("cut")
