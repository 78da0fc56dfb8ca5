"""Uploading files: declared, sent, and after an interruption sent on from where the service has them."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

import anyio.to_thread
import httpx

from search.uploads import UploadFault, check_data_start, check_model_start
from service.client.calls import Call, viewed
from service.client.errors import ClientError, Conflict, NotReady, Unreachable, refusal
from service.schemas.jobs import Page
from service.schemas.uploads import MAX_NAME, DatasetItem, DatasetView, ModelItem, ModelUploadView, UploadView

Answer = TypeVar("Answer")
Seen = TypeVar("Seen", bound=UploadView)

_BLOCK: Final = 1 << 18
#: The service reads the whole file once more when the last byte is there.
_CHECKING_S: Final = 600.0
_BUSY: Final = "urn:fewbits:problem:busy-upload"


class NotUploadable(ClientError):
    """The file is none that the service takes; nothing was sent."""


class Outgoing(Generic[Seen]):
    """A file on its way. NotUploadable if it is plainly not what `resource` takes, or cannot be read."""

    def __init__(self, resource: str, view: type[Seen], path: Path, name: str | None) -> None:
        self.path = path
        self.resource = resource
        self.read = viewed(view)
        digest = hashlib.sha256()
        try:
            with open(path, "rb") as file:
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
        self._body = {
            "name": (name or path.name)[:MAX_NAME],
            "size_bytes": self.size_bytes,
            "sha256": digest.hexdigest(),
        }

    def declaration(self) -> Call[Seen]:
        """Says what will come; answered with what is there, if the service has it already."""
        return Call("POST", f"/v1/{self.resource}", self.read, body=self._body, is_repeatable=False)

    def offset(self, upload_id: str) -> Call[int]:
        """Asks how many bytes are there."""
        return Call(
            "HEAD",
            f"/v1/{self.resource}/{upload_id}/content",
            lambda answer: int(answer.headers["upload-offset"]),
        )

    def content(self, upload_id: str) -> Call[Seen]:
        """Sends bytes: may be done again, from where the service has them."""
        return Call("PATCH", f"/v1/{self.resource}/{upload_id}/content", self.read)

    def blocks(self, offset: int) -> Iterator[bytes]:
        """The bytes from there on."""
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
        """What goes with the bytes from there on."""
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


def _answer(answer: httpx.Response, read: Callable[[httpx.Response], Seen]) -> Seen:
    if not answer.is_error:
        return read(answer)
    error = refusal(answer)
    if isinstance(error, Conflict) and error.problem.type == _BUSY:
        raise NotReady(error.problem)  # an earlier attempt of ours is still being written
    raise error


def _timeout(timeout: httpx.Timeout) -> httpx.Timeout:
    return httpx.Timeout(connect=timeout.connect, read=_CHECKING_S, write=timeout.write, pool=timeout.pool)


class Uploads:
    """What SearchClient does with models and data sets."""

    _http: httpx.Client
    _headers: dict[str, str]

    @abstractmethod
    def _do(self, call: Call[Answer]) -> Answer: ...

    @abstractmethod
    def _once(self, call: Call[Answer]) -> Answer: ...

    @abstractmethod
    def _attempts(self, call: Call[Any], send: Callable[[], Answer]) -> Answer: ...

    @abstractmethod
    def _unreachable(self, error: Exception) -> Unreachable: ...

    def models(self) -> tuple[ModelItem, ...]:
        """The networks that ship with the service, then one's own, newest first."""
        found: list[ModelItem] = []
        cursor: str | None = None
        while True:
            page = self._do(models(cursor))
            found += page.items
            if (cursor := page.next_cursor) is None:
                return tuple(found)

    def datasets(self) -> tuple[DatasetItem, ...]:
        """One's own data sets, newest first."""
        found: list[DatasetItem] = []
        cursor: str | None = None
        while True:
            page = self._do(datasets(cursor))
            found += page.items
            if (cursor := page.next_cursor) is None:
                return tuple(found)

    def upload_model(self, path: Path, name: str | None = None) -> ModelUploadView:
        """Upload a `.keras` file, or an architecture as JSON. What the service has already is not sent again.

        Invalid if the service refuses it, NotUploadable if it plainly would. A broken connection is taken up again.
        """
        return self._upload(Outgoing("models", ModelUploadView, path, name))

    def upload_dataset(self, path: Path, name: str | None = None) -> DatasetView:
        """Upload a `.npz` file; as `upload_model`."""
        return self._upload(Outgoing("datasets", DatasetView, path, name))

    def delete_model(self, upload_id: str) -> None:
        """Delete an uploaded model. Conflict while a job that has not ended names it."""
        self._do(delete("models", upload_id))

    def delete_dataset(self, upload_id: str) -> None:
        """Delete an uploaded data set; as `delete_model`."""
        self._do(delete("datasets", upload_id))

    def _upload(self, file: Outgoing[Seen]) -> Seen:
        declared = self._do(file.declaration())
        if declared.status == "complete":
            return declared
        content = file.content(declared.id)
        return self._attempts(content, lambda: self._send(file, content, declared.id))

    def _send(self, file: Outgoing[Seen], call: Call[Seen], upload_id: str) -> Seen:
        offset = self._once(file.offset(upload_id))
        request = self._http.build_request(
            call.method,
            call.path,
            content=file.blocks(offset),
            headers={**self._headers, **file.headers(offset)},
            timeout=_timeout(self._http.timeout),
        )
        try:
            answer = self._http.send(request)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        return _answer(answer, file.read)


class AsyncUploads:
    """What AsyncSearchClient does with models and data sets."""

    _http: httpx.AsyncClient
    _headers: dict[str, str]

    @abstractmethod
    async def _do(self, call: Call[Answer]) -> Answer: ...

    @abstractmethod
    async def _once(self, call: Call[Answer]) -> Answer: ...

    @abstractmethod
    async def _attempts(self, call: Call[Any], send: Callable[[], Any]) -> Any: ...

    @abstractmethod
    def _unreachable(self, error: Exception) -> Unreachable: ...

    async def models(self) -> tuple[ModelItem, ...]:
        """The networks that ship with the service, then one's own, newest first."""
        found: list[ModelItem] = []
        cursor: str | None = None
        while True:
            page = await self._do(models(cursor))
            found += page.items
            if (cursor := page.next_cursor) is None:
                return tuple(found)

    async def datasets(self) -> tuple[DatasetItem, ...]:
        """One's own data sets, newest first."""
        found: list[DatasetItem] = []
        cursor: str | None = None
        while True:
            page = await self._do(datasets(cursor))
            found += page.items
            if (cursor := page.next_cursor) is None:
                return tuple(found)

    async def upload_model(self, path: Path, name: str | None = None) -> ModelUploadView:
        """Upload a `.keras` file, or an architecture as JSON. What the service has already is not sent again.

        Invalid if the service refuses it, NotUploadable if it plainly would. A broken connection is taken up again.
        """
        return await self._upload(await _opened("models", ModelUploadView, path, name))

    async def upload_dataset(self, path: Path, name: str | None = None) -> DatasetView:
        """Upload a `.npz` file; as `upload_model`."""
        return await self._upload(await _opened("datasets", DatasetView, path, name))

    async def delete_model(self, upload_id: str) -> None:
        """Delete an uploaded model. Conflict while a job that has not ended names it."""
        await self._do(delete("models", upload_id))

    async def delete_dataset(self, upload_id: str) -> None:
        """Delete an uploaded data set; as `delete_model`."""
        await self._do(delete("datasets", upload_id))

    async def _upload(self, file: Outgoing[Seen]) -> Seen:
        declared = await self._do(file.declaration())
        if declared.status == "complete":
            return declared
        content = file.content(declared.id)
        found: Seen = await self._attempts(content, lambda: self._send(file, content, declared.id))
        return found

    async def _send(self, file: Outgoing[Seen], call: Call[Seen], upload_id: str) -> Seen:
        offset = await self._once(file.offset(upload_id))
        request = self._http.build_request(
            call.method,
            call.path,
            content=file.blocks_in_turn(offset),
            headers={**self._headers, **file.headers(offset)},
            timeout=_timeout(self._http.timeout),
        )
        try:
            answer = await self._http.send(request)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        return _answer(answer, file.read)


async def _opened(resource: str, view: type[Seen], path: Path, name: str | None) -> Outgoing[Seen]:
    """The file, read once for its checksum."""
    return await anyio.to_thread.run_sync(Outgoing, resource, view, path, name)
