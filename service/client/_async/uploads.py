"""Models and data sets: listed, uploaded, deleted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx

from search.upload_file import Conversion
from service.client.calls import Call
from service.client.errors import Unreachable
from service.client.files import Download, Export, StrPath
from service.client.uploads import (
    Outgoing,
    checking_timeout,
    datasets,
    delete,
    models,
    open_file_async,
    read_answer,
)
from service.schemas.uploads import DatasetItem, DatasetView, ModelItem, ModelUploadView, UploadView

Answer = TypeVar("Answer")
Seen = TypeVar("Seen", bound=UploadView)


class AsyncUploads:
    """What the client does with models and data sets."""

    _http: httpx.AsyncClient
    _headers: dict[str, str]

    @abstractmethod
    async def _do(self, call: Call[Answer]) -> Answer: ...

    @abstractmethod
    async def _once(self, call: Call[Answer]) -> Answer: ...

    @abstractmethod
    async def _attempts(self, call: Call[Any], send: Callable[[], Any]) -> Any: ...

    @abstractmethod
    async def _receive(self, path: str, file: Download | Export) -> None: ...

    @abstractmethod
    def _unreachable(self, error: Exception) -> Unreachable: ...

    async def models(self) -> tuple[ModelItem, ...]:
        """The built-in networks, then the uploaded models, newest first."""
        items: list[ModelItem] = []
        cursor: str | None = None
        while True:
            page = await self._do(models(cursor))
            items += page.items
            if (cursor := page.next_cursor) is None:
                return tuple(items)

    async def datasets(self) -> tuple[DatasetItem, ...]:
        """The uploaded data sets, newest first."""
        items: list[DatasetItem] = []
        cursor: str | None = None
        while True:
            page = await self._do(datasets(cursor))
            items += page.items
            if (cursor := page.next_cursor) is None:
                return tuple(items)

    async def upload_model(self, path: StrPath, name: str | None = None) -> ModelUploadView:
        """Upload a `.keras` file, or an architecture as JSON. A file that the service already has is not sent again.

        Invalid if the service refuses it, NotUploadable if it would. An interrupted upload is continued.
        """
        return await self._upload(await open_file_async("models", ModelUploadView, path, name))

    async def upload_dataset(
        self, path: StrPath, name: str | None = None, conversion: Conversion | None = None
    ) -> DatasetView:
        """Upload a `.npz` file, CSV, Parquet, or a zip archive of tables or images; as `upload_model`.

        `conversion`: how a table or images are read; None: as the defaults say.
        """
        return await self._upload(await open_file_async("datasets", DatasetView, path, name, conversion))

    async def download_model(self, upload_id: str, folder: StrPath, name: str | None = None) -> Path:
        """Download an uploaded model to `folder`, under its own name or `name`; as `download`."""
        return await self._fetch(f"/v1/models/{upload_id}", folder, name)

    async def download_dataset(self, upload_id: str, folder: StrPath, name: str | None = None) -> Path:
        """Download an uploaded data set; as `download_model`."""
        return await self._fetch(f"/v1/datasets/{upload_id}", folder, name)

    async def _fetch(self, path: str, folder: StrPath, name: str | None) -> Path:
        if name is None:
            name = await self._do(Call("GET", path, lambda answer: Path(answer.json()["name"]).name))
        download = Download(Path(folder), name)
        call = Call("GET", f"{path}/content", lambda _: None)
        await self._attempts(call, lambda: self._receive(call.path, download))
        return download.finish()

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
        view: Seen = await self._attempts(content, lambda: self._send(file, content, declared.id))
        return view

    async def _send(self, file: Outgoing[Seen], call: Call[Seen], upload_id: str) -> Seen:
        offset = await self._once(file.offset(upload_id))
        request = self._http.build_request(
            call.method,
            call.path,
            content=file.blocks_in_turn(offset),
            headers={**self._headers, **file.headers(offset)},
            timeout=checking_timeout(self._http.timeout),
        )
        try:
            answer = await self._http.send(request)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        return read_answer(answer, file.read)
