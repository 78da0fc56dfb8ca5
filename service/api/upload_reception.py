"""How a file comes in: written as it arrives, hashed, checked when it is whole, then kept or forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from search.uploads import UploadFault, check_data, check_data_start, check_model, check_model_start
from service.errors import RefusedUpload, TooLarge, UploadNotFound
from service.store import uploads
from service.store.session import Database
from service.store.upload_models import Upload
from service.store.upload_parts import PartWriter, UploadParts
from service.store.uploads import UploadKind

#: Bytes that are written, and hashed, at once.
_BLOCK: Final = 1 << 20
#: As many of its first bytes tell what a file is.
_START: Final = 64

#: Files that are checked at once: a description of 4 MiB may take 100 MB of memory.
_CHECKS: Final = 2
_limiters: Final = RunVar[CapacityLimiter]("checks")

Details = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Resource:
    """What differs between models and data sets. `check` reads a file: its format, and what is told of it."""

    kind: UploadKind
    path: str
    check_start: Callable[[bytes], None]
    check: Callable[[Path], Details]


def _model(path: Path) -> Details:
    found = check_model(path)
    return found.format, asdict(found) | {"parameters": found.parameters}


def _data(path: Path) -> Details:
    return "npz", asdict(check_data(path))


MODELS: Final = Resource(UploadKind.MODEL, "/v1/models", check_model_start, _model)
DATASETS: Final = Resource(UploadKind.DATA, "/v1/datasets", check_data_start, _data)


@dataclass(frozen=True, slots=True)
class Reception:
    """Takes in the files of one resource."""

    resource: Resource
    database: Database
    incoming: UploadParts

    async def receive(
        self, upload_id: str, offset: int | None, body: AsyncIterator[bytes], length: int | None
    ) -> Upload:
        """Write a body of `length` bytes (None: not told) from `offset` on (None: from the start, anew).

        When all is there it is checked and kept. Raises TooLarge and RefusedUpload, and then nothing of it is left;
        UploadNotFound, WrongOffset, BusyUpload, and Conflict where it is complete. A body that breaks off is no error:
        what came stays.
        """
        upload = await run_in_threadpool(self._touch, upload_id)
        with self.incoming.writing(upload_id, offset) as piece:
            try:
                if length is not None and length > upload.size_bytes - piece.offset:
                    raise TooLarge(
                        f"{upload.size_bytes} bytes were declared; {piece.offset} are there, {length} come"
                    )
                await self._pour(body, piece, upload.size_bytes)
                if piece.offset < upload.size_bytes:
                    return upload
                return await to_thread.run_sync(self._finish, upload, piece, limiter=_checks())
            except (TooLarge, RefusedUpload):
                await run_in_threadpool(self._forget, upload_id)
                raise

    def delete(self, upload_id: str) -> None:
        """Forget an upload. UploadNotFound, UploadInUse."""
        with self.database.transaction() as session:
            uploads.remove(session, self.resource.kind, upload_id)
        self.incoming.remove(upload_id)

    def received_bytes(self, upload: Upload) -> int:
        """How many of its bytes are there."""
        return self.incoming.offset(upload.id) if upload.completed_at is None else upload.size_bytes

    def _touch(self, upload_id: str) -> Upload:
        with self.database.transaction() as session:
            return uploads.touch(session, self.resource.kind, upload_id)

    async def _pour(self, body: AsyncIterator[bytes], piece: PartWriter, size: int) -> None:
        block = bytearray()
        try:
            async for chunk in body:
                if piece.offset + len(block) + len(chunk) > size:
                    raise TooLarge(f"more bytes come than the {size} that were declared")
                block += chunk
                if len(block) >= _BLOCK:
                    await run_in_threadpool(self._write, piece, bytes(block))
                    block.clear()
        except ClientDisconnect:
            pass
        if block:
            await run_in_threadpool(self._write, piece, bytes(block))

    def _write(self, piece: PartWriter, data: bytes) -> None:
        if piece.offset == 0 and len(data) >= _START:
            with _refusing():
                self.resource.check_start(data[:_START])
        piece.write(data)

    def _finish(self, upload: Upload, piece: PartWriter) -> Upload:
        sha256 = piece.finish()
        if upload.sha256 not in (None, sha256):
            raise RefusedUpload(f"the file arrived with the SHA-256 {sha256}; {upload.sha256} was declared")
        with _refusing():
            form, details = self.resource.check(self.incoming.path(upload.id))
        blob = self.incoming.move_to_blobs(upload.id, sha256)
        with self.database.transaction() as session:
            return uploads.complete(session, self.resource.kind, upload.id, blob.sha256, form, details)

    def _forget(self, upload_id: str) -> None:
        try:
            self.delete(upload_id)
        except UploadNotFound:
            self.incoming.remove(upload_id)


def _checks() -> CapacityLimiter:
    """Who may check now, in this event loop; those that wait keep no thread from others."""
    try:
        return _limiters.get()
    except LookupError:
        limiter = CapacityLimiter(_CHECKS)
        _limiters.set(limiter)
        return limiter


@contextmanager
def _refusing() -> Iterator[None]:
    """What is wrong with a file, as the answer to who sent it."""
    try:
        yield
    except UploadFault as error:
        raise RefusedUpload(str(error)) from error
