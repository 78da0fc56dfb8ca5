"""The service as an object, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import anyio
import httpx

from search.history import JobStatus, TrialStatus
from service.client import calls, frame
from service.client._async.uploads import AsyncUploads
from service.client.calls import Call
from service.client.errors import NotReady, Refused, Unreachable, refusal
from service.client.files import CHUNK, Download, Export
from service.client.retry import Retry
from service.client.waiting import LONGEST_S, Following, Progress
from service.schemas.analysis import AnalysisView
from service.schemas.cost import NetworkCostView, ProfileView
from service.schemas.dry_run import DryRun
from service.schemas.final_training import FinalView
from service.schemas.jobs import (
    EventView,
    JobSummary,
    JobView,
    ParetoView,
    PointsView,
    PointView,
    Readiness,
    TrialSummary,
    TrialView,
)
from service.schemas.rescore import RescoreView

if TYPE_CHECKING:
    import pandas

Answer = TypeVar("Answer")


class AsyncSearchClient(AsyncUploads):
    """A fewbits service. Usable as a context manager; safe to share between threads, or between the tasks of an event
    loop (asyncio or Trio).

    Every method raises Unreachable, or a subclass of Refused that carries the service's problem document. What fails
    for the moment is tried again as `retry` says; a job that is submitted carries an Idempotency-Key, so that it is
    started once however often its request is sent.
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
        """`key` is sent as `Authorization: Bearer`. `http` replaces the connection, for example by one into an
        application in this process.
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
        """What the job would search; nothing is stored. Invalid names every fault."""
        return await self._do(calls.validate(job))

    async def submit(self, job: Mapping[str, Any]) -> JobView:
        """Start a job."""
        return await self._do(calls.submit(job))

    async def job(self, job_id: str) -> JobView:
        """A job as it stands."""
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
        """Begin no new trial; those under way go on."""
        return await self._do(calls.verb(job_id, "pause"))

    async def resume(self, job_id: str) -> JobView:
        """Go on after a pause."""
        return await self._do(calls.verb(job_id, "resume"))

    async def stop(self, job_id: str) -> JobView:
        """Let the trials under way end, then report the best."""
        return await self._do(calls.verb(job_id, "stop"))

    async def cancel(self, job_id: str) -> JobView:
        """End the job now; what was measured stays. Conflict if it has ended otherwise."""
        return await self._do(calls.verb(job_id, "cancel"))

    async def retry(self, job_id: str) -> JobView:
        """Run the failed trials again."""
        return await self._do(calls.change(job_id, "retry", None))

    async def extend(self, job_id: str, budget: Mapping[str, Any]) -> JobView:
        """Give a job that ended a larger budget: it goes on."""
        return await self._do(calls.change(job_id, "extend", budget))

    async def clone(self, job_id: str, changes: Mapping[str, Any] | None = None) -> JobView:
        """A new job like this one, with changes."""
        return await self._do(calls.change(job_id, "clone", changes or {}))

    async def patch(self, job_id: str, changes: Mapping[str, Any]) -> JobView:
        """Change budget, parallelism or priority of a job that has not ended."""
        return await self._do(calls.patch(job_id, changes))

    async def delete(self, job_id: str) -> None:
        """Remove a job that has ended, with its trials and files."""
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
        """The job once it has ended; `progress` is called with every state that is read on the way: whenever something
        happened in the job, but at most every `interval_s`.

        A service that is away for less than `patience_s` is waited for. TimeoutError after `timeout_s`.
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
        """Return once something happened after the version that was seen, or after a while."""
        try:
            await self._once(calls.events(job_id, following.version, following.left_s(LONGEST_S), limit=1))
        except (Unreachable, NotReady):
            return  # the next look tells how bad it is
        except Refused:
            following.is_polling = True

    async def events(self, job_id: str, after: int = 0) -> AsyncIterator[EventView]:
        """What happens in a job from event `after` on, as it happens, until the job has ended."""
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
        """The measured trials with the highest scores, best first; by these numbers in place of the goal's own."""
        call = calls.best(job_id, k, delta_p=delta_p, delta_n=delta_n, rate=rate, stress=stress)
        return await self._do(call)

    async def rescore(self, job_id: str, goal: Mapping[str, Any], k: int = 10) -> RescoreView:
        """The measured trials ranked under another goal. Nothing is trained or stored. Invalid names its faults."""
        return await self._do(calls.rescore(job_id, dict(goal), k))

    async def pareto(self, job_id: str) -> ParetoView:
        """The trials no other trial beats in both metric and cost."""
        return await self._do(calls.pareto(job_id))

    async def analysis(self, job_id: str) -> AnalysisView:
        """How the front grew, and what each choice does to metric and cost."""
        return await self._do(calls.analysis(job_id))

    async def finalize(self, job_id: str, number: int, epochs: int) -> FinalView:
        """Have a measured trial trained on. Conflict if it has no model, or is trained for other epochs already."""
        return await self._do(calls.finalize(job_id, number, epochs))

    async def final(self, job_id: str, number: int) -> FinalView:
        """The final training of a trial. NotFound if there is none."""
        return await self._do(calls.final(job_id, number))

    async def points(self, job_id: str, fields: Sequence[str] | None = None) -> PointsView:
        """Every trial as columns; `fields` names those that are wanted."""
        return await self._do(calls.points(job_id, fields))

    async def to_dataframe(self, job_id: str) -> pandas.DataFrame:
        """Every trial as a row of a pandas data frame, indexed by number. ImportError without pandas."""
        return frame.to_dataframe(await self.points(job_id, frame.FIELDS))

    async def download(self, job_id: str, number: int, name: str, folder: Path) -> Path:
        """A file of a trial, saved in `folder` under its name; it is there whole or not at all.

        What has arrived of a broken download is kept in `folder`, and the next call goes on from there. Damaged if
        the bytes do not have the checksum the service names.
        """
        download = Download(folder, name)
        call = Call("GET", calls.artifact(job_id, number, name), lambda _: None)
        await self._attempts(call, lambda: self._receive(call.path, download))
        return download.finish()

    async def export(self, job_id: str, path: Path) -> Path:
        """All trials with their quantizers as one file; its suffix, `.csv` or `.parquet`, says which."""
        export = Export(path)
        call = Call("GET", calls.export(job_id, path.suffix.lstrip(".").lower()), lambda _: None)
        try:
            await self._attempts(call, lambda: self._receive(call.path, export))
            return export.finish()
        finally:
            export.discard()

    # --- costs ---

    async def cost(self, question: Mapping[str, Any]) -> NetworkCostView:
        """What a network costs; see POST /v1/cost. Invalid names every fault."""
        return await self._do(calls.cost(question))

    async def profiles(self) -> tuple[ProfileView, ...]:
        """The energy profiles that come with the service."""
        return await self._do(calls.profiles())

    # --- the service itself ---

    async def ready(self) -> Readiness:
        """Whether the service can run jobs, and which part is missing; not ready is an answer here, not an error."""
        return await self._do(calls.ready())

    # --- how ---

    async def _do(self, call: Call[Answer]) -> Answer:
        answer: Answer = await self._attempts(call, lambda: self._once(call))
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
