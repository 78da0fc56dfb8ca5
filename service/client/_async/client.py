"""The client of the service, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
import httpx

from search.history import JobStatus, TrialStatus
from service.client import calls, frame
from service.client._async.exports import AsyncExports
from service.client._async.uploads import AsyncUploads
from service.client.calls import Call
from service.client.errors import NotReady, Refused, Unreachable, refusal
from service.client.files import CHUNK, Download, Export, StrPath
from service.client.retry import Retry
from service.client.waiting import LONGEST_S, Following, Progress
from service.schemas.analysis import AnalysisView
from service.schemas.classes import ClassReportView
from service.schemas.cost import NetworkCostView, ProfileView
from service.schemas.dry_run import DryRun
from service.schemas.final_training import FinalView
from service.schemas.health import Readiness
from service.schemas.jobs import (
    EventView,
    JobSummary,
    JobView,
    ParetoView,
    PointsView,
    PointView,
    TrialSummary,
    TrialView,
)
from service.schemas.notebooks import remember
from service.schemas.rescore import RescoreView

if TYPE_CHECKING:
    import pandas

Answer = TypeVar("Answer")


class AsyncSearchClient(AsyncUploads, AsyncExports):
    """A client of a fewbits service. Usable as a context manager; safe to share between threads, or between the tasks
    of an event loop (asyncio or Trio).

    Every method raises Unreachable, or a subclass of Refused that carries the service's problem document. Transient
    failures are retried as `retry` says; the submission of a job carries an Idempotency-Key, so that one job starts
    however often the request is sent.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8765",
        *,
        key: str | None = None,
        retry: Retry = Retry(),  # noqa: B008 -- frozen
        http: httpx.AsyncClient | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        """`key` is sent as `Authorization: Bearer`. `http` replaces the connection, for example by a connection
        to an application in this process.
        """
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._retry = retry
        self._http = http or httpx.AsyncClient(base_url=self.url, timeout=timeout_s)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    # --- jobs ---

    async def validate(self, job: Mapping[str, Any]) -> DryRun:
        """Check a job and tell what it would search; nothing is stored. Invalid names every fault."""
        return await self._do(calls.validate(job))

    async def submit(self, job: Mapping[str, Any]) -> JobView:
        """Submit a job."""
        return await self._do(calls.submit(job))

    async def job(self, job_id: str) -> JobView:
        """Read a job."""
        return await self._do(calls.job(job_id))

    async def jobs(
        self,
        *,
        status: JobStatus | None = None,
        sort: str | None = None,
        filter: str | None = None,  # noqa: A002 -- the name of the parameter
    ) -> AsyncIterator[JobSummary]:
        """All jobs, newest first unless `sort` says otherwise."""
        cursor: str | None = None
        while True:
            page = await self._do(calls.jobs(cursor, status=status, sort=sort, filter=filter))
            for item in page.items:
                yield item
            if (cursor := page.next_cursor) is None:
                return

    async def pause(self, job_id: str) -> JobView:
        """Pause a job: no new trial starts; running trials continue."""
        return await self._do(calls.verb(job_id, "pause"))

    async def resume(self, job_id: str) -> JobView:
        """Resume a paused job."""
        return await self._do(calls.verb(job_id, "resume"))

    async def stop(self, job_id: str) -> JobView:
        """Stop a job: running trials finish, then the best is reported."""
        return await self._do(calls.verb(job_id, "stop"))

    async def cancel(self, job_id: str) -> JobView:
        """Cancel a job at once; measured trials are kept. Conflict if it has already ended in another way."""
        return await self._do(calls.verb(job_id, "cancel"))

    async def retry(self, job_id: str) -> JobView:
        """Run the failed trials of a job again."""
        return await self._do(calls.change(job_id, "retry", None))

    async def extend(self, job_id: str, budget: Mapping[str, Any]) -> JobView:
        """Add budget to a finished job and resume it."""
        return await self._do(calls.change(job_id, "extend", budget))

    async def clone(self, job_id: str, changes: Mapping[str, Any] | None = None) -> JobView:
        """Submit a copy of a job; `changes` is a JSON merge patch of its specification."""
        return await self._do(calls.change(job_id, "clone", changes or {}))

    async def patch(self, job_id: str, changes: Mapping[str, Any]) -> JobView:
        """Change budget, parallelism or priority of a job that has not ended."""
        return await self._do(calls.patch(job_id, changes))

    async def delete(self, job_id: str) -> None:
        """Delete a finished job with its trials and files."""
        await self._do(calls.delete(job_id))

    async def wait(
        self,
        job_id: str,
        *,
        progress: Progress = lambda _: None,
        interval_s: float = 1.0,
        timeout_s: float | None = None,
        patience_s: float = 60.0,
    ) -> JobView:
        """Wait until a job has ended, and return it. `progress` is called with the job after every event, but at most
        every `interval_s`.

        A service that does not answer for less than `patience_s` is waited for. TimeoutError after `timeout_s`.
        """
        following = Following(job_id, progress, timeout_s=timeout_s, patience_s=patience_s)
        while True:
            try:
                job = await self.job(job_id)
            except (Unreachable, NotReady) as error:
                following.missed(error)
            else:
                if following.saw(job):
                    return job
            await anyio.sleep(following.left_s(interval_s))
            if not following.is_polling:
                await self._news(job_id, following)

    async def _news(self, job_id: str, following: Following) -> None:
        """Return after the next event since the version that was read last, or after a while."""
        try:
            await self._once(calls.events(job_id, following.version, following.left_s(LONGEST_S), limit=1))
        except (Unreachable, NotReady):
            return  # the next read of the job counts how long this lasts
        except Refused:
            following.is_polling = True

    async def events(self, job_id: str, after: int = 0) -> AsyncIterator[EventView]:
        """The events of a job after the event `after`, as they happen, until the job has ended."""
        while True:
            news = await self._do(calls.events(job_id, after, LONGEST_S))
            for item in news.items:
                yield item
            if news.over:
                return
            after = news.last

    # --- trials ---

    async def trials(
        self,
        job_id: str,
        *,
        status: TrialStatus | None = None,
        sort: str | None = None,
        filter: str | None = None,  # noqa: A002 -- the name of the parameter
    ) -> AsyncIterator[TrialSummary]:
        """All trials of a job, by number unless `sort` says otherwise."""
        cursor: str | None = None
        while True:
            page = await self._do(calls.trials(job_id, cursor, status=status, sort=sort, filter=filter))
            for item in page.items:
                yield item
            if (cursor := page.next_cursor) is None:
                return

    async def trial(self, job_id: str, number: int) -> TrialView:
        """A trial with its quantizers, learning curve, energies and files."""
        return await self._do(calls.trial(job_id, number))

    async def class_report(self, job_id: str, number: int) -> ClassReportView:
        """What a trial gets right on validation and test data, class by class: recall, F1, IoU, confusion matrix."""
        return await self._do(calls.class_report(job_id, number))

    async def best(
        self,
        job_id: str,
        k: int = 10,
        *,
        delta_p: float | None = None,
        delta_n: float | None = None,
        rate: float | None = None,
        stress: float | None = None,
    ) -> tuple[PointView, ...]:
        """The measured trials with the highest scores, best first. A number that is given replaces that of the goal."""
        call = calls.best(job_id, k, delta_p=delta_p, delta_n=delta_n, rate=rate, stress=stress)
        return await self._do(call)

    async def rescore(self, job_id: str, goal: Mapping[str, Any], k: int = 10) -> RescoreView:
        """The measured trials ranked under another goal. Nothing is trained or stored. Invalid names its faults."""
        return await self._do(calls.rescore(job_id, dict(goal), k))

    async def pareto(self, job_id: str) -> ParetoView:
        """The Pareto front: the trials that no other trial dominates in metric and cost."""
        return await self._do(calls.pareto(job_id))

    async def analysis(self, job_id: str) -> AnalysisView:
        """How the Pareto front grew, and how each choice affects metric and cost."""
        return await self._do(calls.analysis(job_id))

    async def finalize(
        self, job_id: str, number: int, epochs: int, distill: Mapping[str, float] | None = None
    ) -> FinalView:
        """Train a measured trial further. Conflict if it has no model, or while it is trained in another way.

        `distill`: `temperature` and `share` of learning from the float model, {} for the defaults; None: as the job.
        """
        return await self._do(calls.finalize(job_id, number, epochs, distill))

    async def final(self, job_id: str, number: int) -> FinalView:
        """The final training of a trial. NotFound if there is none."""
        return await self._do(calls.final(job_id, number))

    async def points(self, job_id: str, fields: Sequence[str] | None = None) -> PointsView:
        """All trials as columns; `fields` selects them."""
        return await self._do(calls.points(job_id, fields))

    async def to_dataframe(self, job_id: str) -> pandas.DataFrame:
        """All trials as a pandas data frame, indexed by number. ImportError without pandas."""
        return frame.to_dataframe(await self.points(job_id, frame.FIELDS))

    async def download(
        self, job_id: str, number: int, name: str, folder: StrPath, *, size_bytes: int | None = None
    ) -> Path:
        """Download a file of a trial to `folder`; a file under its own name is always complete.

        An interrupted download is kept in `folder` under another name, and the next call continues it. Damaged if
        the checksum is wrong, or if there are more bytes than `size_bytes` or than the answer declares.
        """
        download = Download(Path(folder), name, size_bytes)
        call = Call("GET", calls.artifact(job_id, number, name), lambda _: None)
        await self._attempts(call, lambda: self._receive(call.path, download))
        return download.finish()

    async def export(self, job_id: str, path: StrPath) -> Path:
        """Write all trials with their quantizers to `path`, whose suffix selects the format: `.csv` or `.parquet`."""
        target = Path(path)
        export = Export(target)
        call = Call("GET", calls.export(job_id, target.suffix.lstrip(".").lower()), lambda _: None)
        try:
            await self._attempts(call, lambda: self._receive(call.path, export))
            return export.finish()
        finally:
            export.discard()

    # --- costs ---

    async def cost(self, question: Mapping[str, Any]) -> NetworkCostView:
        """The cost of a network; see POST /v1/cost. Invalid names every fault."""
        return await self._do(calls.cost(question))

    async def profiles(self) -> tuple[ProfileView, ...]:
        """The built-in energy profiles."""
        return await self._do(calls.profiles())

    # --- the service itself ---

    async def ready(self) -> Readiness:
        """Whether the service can run jobs, and which part is missing. Not ready is an answer here, not an error."""
        return await self._do(calls.ready())

    # --- how ---

    async def _do(self, call: Call[Answer]) -> Answer:
        answer: Answer = await self._attempts(call, lambda: self._once(call))
        remember(answer, self, call.path)
        return answer

    async def _attempts(self, call: Call[Any], send: Callable[[], Any]) -> Any:
        attempt = 1
        while True:
            try:
                return await send()
            except (Unreachable, Refused) as error:
                pause_s = self._retry.pause_s(call, error, attempt)
                if pause_s is None:
                    raise
            await anyio.sleep(pause_s)
            attempt += 1

    async def _once(self, call: Call[Answer]) -> Answer:
        options = call.options()
        options["headers"] |= self._headers
        try:
            answer = await self._http.request(call.method, call.path, **options)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if answer.is_error and not call.takes_errors:
            raise refusal(answer)
        return call.read(answer)

    async def _receive(self, path: str, file: Download | Export) -> None:
        try:
            async with self._http.stream("GET", path, headers=self._headers | file.headers()) as answer:
                if answer.is_error:
                    await answer.aread()
                if file.begin(answer):
                    async for chunk in answer.aiter_bytes(CHUNK):
                        file.write(chunk)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        finally:
            file.pause()

    def _unreachable(self, error: Exception) -> Unreachable:
        return Unreachable(f"no answer from {self.url}: {error or type(error).__name__}")
