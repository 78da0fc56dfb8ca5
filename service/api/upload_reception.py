"""Reception of uploads: bytes are written and hashed as they arrive; a complete file is checked, then stored."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from search.uploads import (
    Conversion,
    Converted,
    UploadFault,
    check_data,
    check_data_start,
    check_model,
    check_model_start,
    convert,
    is_converted,
)
from service.errors import RefusedUpload, TooLarge, UploadNotFound
from service.store import uploads
from service.store.session import Database
from service.store.upload_models import Upload
from service.store.upload_parts import PartWriter, UploadParts
from service.store.uploads import Content, UploadKind

#: Bytes that are written and hashed at once.
_BLOCK: Final = 1 << 20
#: Size of the start of a file that identifies its format.
_START: Final = 64

#: Files that are checked at the same time: parsing a 4 MiB model may take 100 MB of memory.
_CHECKS: Final = 2
_limiters: Final = RunVar[CapacityLimiter]("checks")

Details = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class UploadResource:
    """What differs between models and data sets. `check` reads a file; its format and details.

    `convert` makes what `check` reads of a file, in an empty folder; None where that is the file itself.
    """

    kind: UploadKind
    path: str
    check_start: Callable[[bytes], None]
    check: Callable[[Path], Details]
    convert: Callable[[Path, Mapping[str, Any], Path], Converted | None] = lambda *_: None


def _model(path: Path) -> Details:
    model = check_model(path)
    return model.format, asdict(model) | {"parameters": model.parameters}


def _data(path: Path) -> Details:
    return "npz", asdict(check_data(path))


def _converted(path: Path, stated: Mapping[str, Any], folder: Path) -> Converted | None:
    """A table or an archive of images as arrays. UploadFault for options that would have no effect."""
    if is_converted(path):
        return convert(path, Conversion.from_json(stated), folder)
    if stated:
        raise UploadFault("", "is a .npz file, which is stored as it is: leave the conversion out")
    return None


MODELS: Final = UploadResource(UploadKind.MODEL, "/v1/models", check_model_start, _model)
DATASETS: Final = UploadResource(UploadKind.DATA, "/v1/datasets", check_data_start, _data, _converted)


@dataclass(frozen=True, slots=True)
class UploadReceiver:
    """Receives the files of one resource."""

    resource: UploadResource
    database: Database
    incoming: UploadParts

    async def receive(
        self, upload_id: str, offset: int | None, body: AsyncIterator[bytes], length: int | None
    ) -> Upload:
        """Write a body of `length` bytes (None: unknown) at `offset` (None: from the start, replacing what is there).

        A complete file is checked and stored. TooLarge and RefusedUpload delete the upload; UploadNotFound,
        WrongOffset, BusyUpload, and Conflict if it is complete already. If the client disconnects, the bytes that
        arrived are kept.
        """
        upload = await run_in_threadpool(self._touch, upload_id)
        with self.incoming.writing(upload_id, offset) as writer:
            try:
                if length is not None and length > upload.size_bytes - writer.offset:
                    raise TooLarge(
                        f"{upload.size_bytes} bytes were declared; {writer.offset} were received, {length} more sent"
                    )
                await self._write_body(body, writer, upload.size_bytes)
                if writer.offset < upload.size_bytes:
                    return upload
                return await to_thread.run_sync(self._finish, upload, writer, limiter=_checks())
            except (TooLarge, RefusedUpload):
                await run_in_threadpool(self._discard, upload_id)
                raise

    def delete(self, upload_id: str) -> None:
        """Delete an upload. UploadNotFound, UploadInUse."""
        with self.database.transaction() as session:
            uploads.remove(session, self.resource.kind, upload_id)
        self.incoming.remove(upload_id)

    def received_bytes(self, upload: Upload) -> int:
        """How many of its bytes were received."""
        return self.incoming.offset(upload.id) if upload.completed_at is None else upload.size_bytes

    def _touch(self, upload_id: str) -> Upload:
        with self.database.transaction() as session:
            return uploads.touch(session, self.resource.kind, upload_id)

    async def _write_body(self, body: AsyncIterator[bytes], writer: PartWriter, size: int) -> None:
        block = bytearray()
        try:
            async for chunk in body:
                if writer.offset + len(block) + len(chunk) > size:
                    raise TooLarge(f"the body has more bytes than the {size} that were declared")
                block += chunk
                if len(block) >= _BLOCK:
                    await run_in_threadpool(self._write, writer, bytes(block))
                    block.clear()
        except ClientDisconnect:
            pass
        if block:
            await run_in_threadpool(self._write, writer, bytes(block))

    def _write(self, writer: PartWriter, data: bytes) -> None:
        if writer.offset == 0 and len(data) >= _START:
            with _refusals():
                self.resource.check_start(data[:_START])
        writer.write(data)

    def _finish(self, upload: Upload, writer: PartWriter) -> Upload:
        sha256 = writer.finish()
        if upload.sha256 not in (None, sha256):
            raise RefusedUpload(f"the SHA-256 of the received file is {sha256}; {upload.sha256} was declared")
        try:
            content = self._read(upload, sha256)
        except FileNotFoundError:  # deleted meanwhile
            raise UploadNotFound(f"the upload {upload.id} was deleted while it was received") from None
        with self.database.transaction() as session:
            return uploads.complete(session, self.resource.kind, upload.id, content)

    def _read(self, upload: Upload, sha256: str) -> Content:
        """Check the file, converted where it is a table or images, and move it into the blob store."""
        path, stated = self.incoming.path(upload.id), upload.details or {}
        with tempfile.TemporaryDirectory(prefix="fewbits-upload-") as folder, _refusals():
            converted = self.resource.convert(path, stated.get("conversion", {}), Path(folder))
            form, details = self.resource.check(path if converted is None else converted.path)
            if converted is not None:
                form = converted.format
                details |= {"columns": list(converted.columns), "classes": list(converted.classes)}
                sha256 = self.incoming.replace(upload.id, converted.path)
        blob = self.incoming.move_to_blobs(upload.id, sha256)
        return Content(blob.sha256, blob.size_bytes, form, stated | details)

    def _discard(self, upload_id: str) -> None:
        try:
            self.delete(upload_id)
        except UploadNotFound:
            self.incoming.remove(upload_id)


def _checks() -> CapacityLimiter:
    """Limits checks in this event loop; checks that wait do not occupy a thread."""
    try:
        return _limiters.get()
    except LookupError:
        limiter = CapacityLimiter(_CHECKS)
        _limiters.set(limiter)
        return limiter


@contextmanager
def _refusals() -> Iterator[None]:
    """Faults of a file, as errors of the request."""
    try:
        yield
    except UploadFault as error:
        raise RefusedUpload(str(error)) from error
