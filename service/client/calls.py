"""The requests of the clients as values: how each is sent and how its answer is read. Sends nothing."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from service.client.errors import Unreachable
from service.schemas.analysis import AnalysisView
from service.schemas.classes import ClassReportView
from service.schemas.cost import NetworkCostView, ProfileList, ProfileView
from service.schemas.dry_run import DryRun
from service.schemas.exports import ExportList, ExportView, FormatList, FormatView
from service.schemas.final_training import FinalView
from service.schemas.health import Readiness
from service.schemas.jobs import (
    BestView,
    EventList,
    JobSummary,
    JobView,
    Page,
    ParetoView,
    PointsView,
    PointView,
    TrialSummary,
    TrialView,
    View,
)
from service.schemas.rescore import RescoreView

Answer = TypeVar("Answer", covariant=True)
Seen = TypeVar("Seen", bound=View)

_PAGE = 200


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """A request and how its answer is read.

    `is_repeatable`: sending it twice has the effect of sending it once. `is_retried`: failures may be retried.
    `takes_errors`: an answer with an error status is read like any other.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], Answer]
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_repeatable: bool = True
    is_retried: bool = True
    takes_errors: bool = False

    def options(self) -> dict[str, Any]:
        """What httpx's `request` takes besides method and path."""
        sent: dict[str, Any] = {"params": dict(self.params), "headers": dict(self.headers)}
        return sent if self.body is None else sent | {"json": self.body}


def viewed(kind: type[Seen]) -> Callable[[httpx.Response], Seen]:
    """Reads an answer as this view; Unreachable if it is not one."""

    def read(answer: httpx.Response) -> Seen:
        try:
            return kind.model_validate_json(answer.content)
        except ValidationError as error:
            raise Unreachable(
                f"{answer.url} does not answer like a fewbits service of this version"
            ) from error

    return read


def _nothing(_: httpx.Response) -> None:
    return None


def _idempotent() -> dict[str, str]:
    """A header that makes a request safe to repeat: the service carries it out once and repeats the answer."""
    return {"Idempotency-Key": secrets.token_urlsafe(24)}


def _present(**values: Any) -> dict[str, Any]:
    """The values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def _word(value: str) -> str:
    return quote(str(value), safe="")


def _listed(names: Sequence[str] | None) -> str | None:
    return None if names is None else ",".join(names)


# --- jobs ----------------------------------------------------------------------------------------------------------


def validate(job: Mapping[str, Any]) -> Call[DryRun]:
    """Check a job without storing it."""
    return Call("POST", "/v1/jobs:validate", viewed(DryRun), body=job)


def submit(job: Mapping[str, Any]) -> Call[JobView]:
    """Submit a job."""
    return Call("POST", "/v1/jobs", viewed(JobView), body=job, headers=_idempotent())


def job(job_id: str) -> Call[JobView]:
    """Read a job."""
    return Call("GET", f"/v1/jobs/{_word(job_id)}", viewed(JobView))


def jobs(cursor: str | None, **filters: str | None) -> Call[Page[JobSummary]]:
    """List jobs."""
    params = _present(limit=_PAGE, cursor=cursor, **filters)
    return Call("GET", "/v1/jobs", viewed(Page[JobSummary]), params)


def events(job_id: str, after: int, wait_s: float, limit: int = 500) -> Call[EventList]:
    """The events after `after`; the service waits up to `wait_s` seconds for the first."""
    params = {"after": after, "wait_s": round(wait_s, 3), "limit": limit}
    headers = {"Accept": "application/json"}
    path = f"/v1/jobs/{_word(job_id)}/events"
    return Call("GET", path, viewed(EventList), params, headers=headers)


def verb(job_id: str, name: str) -> Call[JobView]:
    """pause, resume, stop or cancel; each is safe to repeat."""
    return Call("POST", f"/v1/jobs/{_word(job_id)}:{name}", viewed(JobView))


def change(job_id: str, name: str, body: Mapping[str, Any] | None) -> Call[JobView]:
    """retry, extend or clone; the Idempotency-Key keeps the service from carrying one out twice."""
    path = f"/v1/jobs/{_word(job_id)}:{name}"
    return Call(
        "POST", path, viewed(JobView), body=body, headers=_idempotent(), is_repeatable=name == "clone"
    )


def patch(job_id: str, body: Mapping[str, Any]) -> Call[JobView]:
    """Change a job's budget, parallelism or priority."""
    return Call("PATCH", f"/v1/jobs/{_word(job_id)}", viewed(JobView), body=body)


def delete(job_id: str) -> Call[None]:
    """Delete a job that has ended."""
    return Call("DELETE", f"/v1/jobs/{_word(job_id)}", _nothing, is_repeatable=False)


# --- trials --------------------------------------------------------------------------------------------------------


def trials(job_id: str, cursor: str | None, **filters: str | None) -> Call[Page[TrialSummary]]:
    """List the trials of a job."""
    params = _present(limit=_PAGE, cursor=cursor, **filters)
    path = f"/v1/jobs/{_word(job_id)}/trials"
    return Call("GET", path, viewed(Page[TrialSummary]), params)


def trial(job_id: str, number: int) -> Call[TrialView]:
    """Read a trial."""
    return Call("GET", f"/v1/jobs/{_word(job_id)}/trials/{number}", viewed(TrialView))


def class_report(job_id: str, number: int) -> Call[ClassReportView]:
    """Read what a trial gets right, class by class."""
    return Call("GET", f"{_trial(job_id, number)}/classes", viewed(ClassReportView))


def best(job_id: str, k: int, **goal: float | None) -> Call[tuple[PointView, ...]]:
    """List the best trials of a job."""
    read = viewed(BestView)
    params = {"k": k} | _present(**goal)
    return Call("GET", f"/v1/jobs/{_word(job_id)}/best", lambda answer: read(answer).items, params)


def rescore(job_id: str, goal: Any, k: int) -> Call[RescoreView]:
    """Rank the trials of a job under another goal."""
    path = f"/v1/jobs/{_word(job_id)}:rescore"
    return Call("POST", path, viewed(RescoreView), body={"goal": goal, "k": k})


def pareto(job_id: str) -> Call[ParetoView]:
    """List the trials on the front of a job."""
    return Call("GET", f"/v1/jobs/{_word(job_id)}/pareto", viewed(ParetoView))


def analysis(job_id: str) -> Call[AnalysisView]:
    """Read what a search has learned."""
    return Call("GET", f"/v1/jobs/{_word(job_id)}/analysis", viewed(AnalysisView))


def finalize(job_id: str, number: int, epochs: int, distill: Mapping[str, float] | None) -> Call[FinalView]:
    """Request a trial's final training."""
    how = {} if distill is None else {"distill": dict(distill)}
    path = f"/v1/jobs/{_word(job_id)}/trials/{number}:finalize"
    return Call("POST", path, viewed(FinalView), body={"epochs": epochs, **how})


def final(job_id: str, number: int) -> Call[FinalView]:
    """Read a trial's final training."""
    return Call("GET", f"/v1/jobs/{_word(job_id)}/trials/{number}/final", viewed(FinalView))


def create_export(
    job_id: str, number: int, name: str, options: Mapping[str, Any], model: str
) -> Call[ExportView]:
    """Request an export of a trial; an equal request gives the same export."""
    body = {"format": name, "options": dict(options), "model": model}
    return Call("POST", f"{_trial(job_id, number)}/exports", viewed(ExportView), body=body)


def exports(job_id: str, number: int) -> Call[tuple[ExportView, ...]]:
    """List the exports of a trial."""
    read = viewed(ExportList)
    return Call("GET", f"{_trial(job_id, number)}/exports", lambda answer: read(answer).items)


def read_export(job_id: str, number: int, name: str) -> Call[ExportView]:
    """Read an export of a trial."""
    return Call("GET", f"{_trial(job_id, number)}/exports/{_word(name)}", viewed(ExportView))


def delete_export(job_id: str, number: int, name: str) -> Call[None]:
    """Delete an export of a trial."""
    path = f"{_trial(job_id, number)}/exports/{_word(name)}"
    return Call("DELETE", path, _nothing, is_repeatable=False)


def export_file(job_id: str, number: int, name: str) -> str:
    """The path of an export's zip."""
    return f"{_trial(job_id, number)}/exports/{_word(name)}/file"


def formats(job_id: str, number: int) -> Call[tuple[FormatView, ...]]:
    """List the formats, and what each cannot express of a trial."""
    read = viewed(FormatList)
    return Call("GET", f"{_trial(job_id, number)}/formats", lambda answer: read(answer).items)


def _trial(job_id: str, number: int) -> str:
    return f"/v1/jobs/{_word(job_id)}/trials/{number}"


def points(job_id: str, fields: Sequence[str] | None) -> Call[PointsView]:
    """Read all trials of a job as columns."""
    params = _present(fields=_listed(fields))
    headers = {"Accept": "application/json"}
    return Call("GET", f"/v1/jobs/{_word(job_id)}/points", viewed(PointsView), params, headers=headers)


def artifact(job_id: str, number: int, name: str) -> str:
    """The path of a file."""
    return f"/v1/jobs/{_word(job_id)}/trials/{number}/artifacts/{_word(name)}"


def export(job_id: str, suffix: str) -> str:
    """The path of all trials as one file."""
    return f"/v1/jobs/{_word(job_id)}/trials.{_word(suffix)}"


# --- the rest ------------------------------------------------------------------------------------------------------


def cost(question: Mapping[str, Any]) -> Call[NetworkCostView]:
    """Price a network."""
    return Call("POST", "/v1/cost", viewed(NetworkCostView), body=question)


def profiles() -> Call[tuple[ProfileView, ...]]:
    """List the energy profiles."""
    read = viewed(ProfileList)
    return Call("GET", "/v1/profiles", lambda answer: read(answer).items)


def ready() -> Call[Readiness]:
    """Not ready is an answer here, not an error."""
    return Call("GET", "/readyz", viewed(Readiness), is_retried=False, takes_errors=True)
