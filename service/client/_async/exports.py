"""Exports of trials: requested, waited for, downloaded."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio

from search.results.exports import ExportStatus
from service.client import calls
from service.client.calls import Call
from service.client.errors import ExportFailed
from service.client.files import Download, Export, StrPath
from service.schemas.exports import ExportView, FormatView

Answer = TypeVar("Answer")

_ENDED: Final = frozenset({ExportStatus.DONE, ExportStatus.FAILED})
_POLL_S: Final = 0.5


class AsyncExports:
    """What the client does with exports."""

    @abstractmethod
    async def _do(self, call: Call[Answer]) -> Answer: ...

    @abstractmethod
    async def _attempts(self, call: Call[Any], send: Callable[[], Any]) -> Any: ...

    @abstractmethod
    async def _receive(self, path: str, file: Download | Export) -> None: ...

    async def formats(self, job_id: str, number: int) -> tuple[FormatView, ...]:
        """Every export format, and which layers of a trial it cannot express."""
        return await self._do(calls.formats(job_id, number))

    async def exports(self, job_id: str, number: int) -> tuple[ExportView, ...]:
        """The exports of a trial, oldest first."""
        return await self._do(calls.exports(job_id, number))

    async def request_export(
        self,
        job_id: str,
        number: int,
        name: str,
        options: Mapping[str, Any] | None = None,
        *,
        model: str = "trial",
    ) -> ExportView:
        """Have a trial exported in the format `name`, without waiting. Invalid names what it cannot express."""
        return await self._do(calls.create_export(job_id, number, name, options or {}, model))

    async def read_export(self, job_id: str, number: int, name: str) -> ExportView:
        """An export of a trial by its name; NotFound if there is none."""
        return await self._do(calls.read_export(job_id, number, name))

    async def delete_export(self, job_id: str, number: int, name: str) -> None:
        """Delete an export and its file."""
        await self._do(calls.delete_export(job_id, number, name))

    async def download_export(self, job_id: str, number: int, name: str, folder: StrPath) -> Path:
        """Download the zip of an export that is done, as `<name>.zip` in `folder`; as `download`."""
        download = Download(Path(folder), f"{name}.zip")
        call = Call("GET", calls.export_file(job_id, number, name), lambda _: None)
        await self._attempts(call, lambda: self._receive(call.path, download))
        return download.finish()

    async def export_model(
        self,
        job_id: str,
        number: int,
        name: str,
        folder: StrPath,
        options: Mapping[str, Any] | None = None,
        *,
        model: str = "trial",
        timeout_s: float | None = None,
    ) -> ExportView:
        """Export a trial in the format `name`, wait for the proof, and download the zip to `folder`.

        `model="final"` exports that of its final training. Invalid names what the format cannot express, ExportFailed
        says why none was made. TimeoutError after `timeout_s`; the export goes on.
        """
        view = await self.request_export(job_id, number, name, options, model=model)
        started = time.monotonic()
        while view.status not in _ENDED:
            if timeout_s is not None and time.monotonic() - started > timeout_s:
                raise TimeoutError(f"export {view.name!r} has not ended within {timeout_s:g} s")
            await anyio.sleep(_POLL_S)
            view = await self.read_export(job_id, number, view.name)
        if view.status is ExportStatus.FAILED:
            raise ExportFailed(f"export {view.name!r} failed: {view.reason}")
        await self.download_export(job_id, number, view.name, folder)
        return view
