"""Uploads: a file is declared, then sent; an interrupted upload continues where the service has it."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import anyio.to_thread
import httpx

from search.upload_file import Conversion, UploadFault, check_data_start, check_model_start
from service.client.calls import Call, viewed
from service.client.errors import ClientError, Conflict, NotReady, refusal
from service.client.files import StrPath
from service.schemas.jobs import Page
from service.schemas.uploads import MAX_NAME, DatasetItem, ModelItem, UploadView

Answer = TypeVar("Answer")
Seen = TypeVar("Seen", bound=UploadView)

_BLOCK: Final = 1 << 18
#: The service reads the whole file again after the last byte, which takes time.
_CHECKING_S: Final = 600.0
_BUSY: Final = "urn:fewbits:problem:busy-upload"


class NotUploadable(ClientError):
    """The service does not accept such a file; nothing was sent."""


class Outgoing(Generic[Seen]):
    """A file to upload. NotUploadable if it is not of the format of `resource`, or cannot be read."""

    def __init__(
        self,
        resource: str,
        view: type[Seen],
        path: StrPath,
        name: str | None,
        conversion: Conversion | None = None,
    ) -> None:
        self.path = Path(path)
        self.resource = resource
        self.read = viewed(view)
        digest = hashlib.sha256()
        try:
            with open(self.path, "rb") as file:
                start = file.read(64)
                (check_model_start if resource == "models" else check_data_start)(start)
                digest.update(start)
                while block := file.read(_BLOCK):
                    digest.update(block)
                self.size_bytes = file.tell()
        except OSError as error:
            raise NotUploadable(f"{path} cannot be read: {error.strerror}") from error
        except UploadFault as error:
            raise NotUploadable(f"{path} is not sent: {error}") from error
        self._body: dict[str, Any] = {
            "name": (name or self.path.name)[:MAX_NAME],
            "size_bytes": self.size_bytes,
            "sha256": digest.hexdigest(),
        }
        if conversion is not None:
            self._body["conversion"] = conversion.to_json()

    def declaration(self) -> Call[Seen]:
        """The request that declares the file; its answer says if the service already has it."""
        return Call("POST", f"/v1/{self.resource}", self.read, body=self._body, is_repeatable=False)

    def offset(self, upload_id: str) -> Call[int]:
        """The request for the number of bytes that have arrived."""
        return Call(
            "HEAD",
            f"/v1/{self.resource}/{upload_id}/content",
            lambda answer: int(answer.headers["upload-offset"]),
        )

    def content(self, upload_id: str) -> Call[Seen]:
        """The request that sends bytes; safe to repeat, from the offset that the service names."""
        return Call("PATCH", f"/v1/{self.resource}/{upload_id}/content", self.read)

    def blocks(self, offset: int) -> Iterator[bytes]:
        """The bytes from this offset on."""
        with open(self.path, "rb") as file:
            file.seek(offset)
            while block := file.read(_BLOCK):
                yield block

    async def blocks_in_turn(self, offset: int) -> AsyncIterator[bytes]:
        """The same without blocking the event loop."""
        blocks = self.blocks(offset)
        while block := await anyio.to_thread.run_sync(next, blocks, None):
            yield block

    def headers(self, offset: int) -> dict[str, str]:
        """The headers of the bytes from this offset on."""
        return {
            "Upload-Offset": str(offset),
            "Content-Length": str(self.size_bytes - offset),
            "Content-Type": "application/octet-stream",
        }


def models(cursor: str | None) -> Call[Page[ModelItem]]:
    """List the models that jobs can name."""
    return _listed("models", Page[ModelItem], cursor)


def datasets(cursor: str | None) -> Call[Page[DatasetItem]]:
    """List the uploaded data sets."""
    return _listed("datasets", Page[DatasetItem], cursor)


def _listed(resource: str, page: Any, cursor: str | None) -> Call[Any]:
    params = {"limit": 200} | ({} if cursor is None else {"cursor": cursor})
    return Call("GET", f"/v1/{resource}", viewed(page), params)


def delete(resource: str, upload_id: str) -> Call[None]:
    """Delete an upload."""
    return Call("DELETE", f"/v1/{resource}/{upload_id}", lambda _: None, is_repeatable=False)


def read_answer(answer: httpx.Response, read: Callable[[httpx.Response], Seen]) -> Seen:
    """What the service answered, or the error it raised."""
    if not answer.is_error:
        return read(answer)
    error = refusal(answer)
    if isinstance(error, Conflict) and error.problem.type == _BUSY:
        raise NotReady(error.problem)  # the service is still writing an earlier attempt
    raise error


def checking_timeout(timeout: httpx.Timeout) -> httpx.Timeout:
    """Time for the service to check the whole file."""
    return httpx.Timeout(connect=timeout.connect, read=_CHECKING_S, write=timeout.write, pool=timeout.pool)


def open_file(
    resource: str, view: type[Seen], path: StrPath, name: str | None, conversion: Conversion | None = None
) -> Outgoing[Seen]:
    """The file, read once for its checksum."""
    return Outgoing(resource, view, path, name, conversion)


async def open_file_async(
    resource: str, view: type[Seen], path: StrPath, name: str | None, conversion: Conversion | None = None
) -> Outgoing[Seen]:
    """The file, read once for its checksum, in a thread."""
    return await anyio.to_thread.run_sync(Outgoing, resource, view, path, name, conversion)
