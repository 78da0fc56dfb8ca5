"""Actions on existing jobs: pause, resume, stop, cancel, retry, extend, clone, change, delete.

Which of them a status allows is in `service.store.lifecycle`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field
from sqlalchemy.orm import Session

from search.errors import Problem
from search.history import JOB_ENDED
from search.spec.base import Frozen
from search.spec.job import SearchSpec
from service.api.compute import COMPUTES, Compute, ComputeDep
from service.api.deps import ADMINISTERS, READS, SUBMITS, CallerDep, DatabaseDep, JobId, QueueDep, SettingsDep
from service.api.merge_patch import merged
from service.api.responses import problem_responses
from service.api.submission import STARTED, IdempotencyKey, IntakeDep
from service.auth.scopes import Caller
from service.errors import InvalidRequest, NotJson
from service.json_document import parse_json
from service.parsing import validate
from service.queue import Queue, TaskName
from service.schemas.jobs import JobView
from service.settings import Settings
from service.store import job_actions, jobs, quotas
from service.store.job_actions import CHANGEABLE
from service.store.lifecycle import JobAction
from service.store.models import Job
from service.store.session import Database, database_now
from service.views import jobs as job_views

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[READS, SUBMITS])

_JSON: Final = ("application/json", "application/merge-patch+json")

_ILLEGAL = problem_responses(
    _404="No such job", _409="The status of the job does not allow this; `allowed` lists what it allows"
)
#: Bodies for the reference.
_EXTENSION: Final = {"$ref": "#/components/schemas/Extension"}
#: A merge patch: null means the default.
_CHANGES: Final = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "budget": {
            "type": ["object", "null"],
            "additionalProperties": False,
            "properties": {
                "trials": {"type": ["integer", "null"], "minimum": 1, "maximum": 100_000},
                "epochs": {"type": ["integer", "null"], "minimum": 1},
                "seconds": {"type": ["number", "null"], "exclusiveMinimum": 0},
            },
        },
        "parallel_trials": {"type": ["integer", "null"], "minimum": 1, "maximum": 256},
        "priority": {"type": ["integer", "null"], "minimum": -100, "maximum": 100},
    },
}
_PATCH: Final = {"type": "object", "description": "changes to the job's specification"}

_BODY = problem_responses(
    _400="The body is not JSON",
    _413="The body is too large",
    _415="The content type is not JSON",
    _422="The body is not valid: a pointer and a message for each fault",
)


class Extension(Frozen):
    """What is added to the budget of a job that has ended."""

    trials: int | None = Field(None, ge=1, le=100_000, description="additional trials")
    epochs: int | None = Field(None, ge=1, description="additional epochs, of all trials together")
    seconds: float | None = Field(None, gt=0, description="additional seconds")


async def _merge_body(request: Request) -> bytes:
    """The bytes of the body; of an empty one, those of an empty object."""
    body = await request.body()
    if not body:
        return b"{}"
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _JSON:
        raise NotJson(f"the body must be {' or '.join(_JSON)}, not {media_type or 'undeclared'}")
    return body


def _document(body: Annotated[bytes, Depends(_merge_body)]) -> Mapping[str, Any]:
    document = parse_json(body)
    if not isinstance(document, dict):
        raise InvalidRequest([Problem("", "should be an object")])
    return document


DocumentDep = Annotated[Mapping[str, Any], Depends(_document)]


def _body_of(schema: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    content = {media_type: {"schema": schema} for media_type in _JSON}
    return {"requestBody": {"required": required, "content": content}}


# --- actions ---------------------------------------------------------------------------------------------------------


@router.post("/{job_id}:pause", responses=_ILLEGAL)
def pause_job(job_id: JobId, database: DatabaseDep, queue: QueueDep) -> JobView:
    """Pause a job: no further trial starts; running trials continue. The time budget does not run."""
    return _do(database, queue, lambda session: job_actions.pause(session, job_id))


@router.post("/{job_id}:resume", responses=_ILLEGAL)
def resume_job(job_id: JobId, database: DatabaseDep, queue: QueueDep) -> JobView:
    """Continue a paused job."""
    return _do(database, queue, lambda session: job_actions.resume(session, job_id))


@router.post("/{job_id}:stop", responses=_ILLEGAL)
def stop_job(job_id: JobId, database: DatabaseDep, queue: QueueDep) -> JobView:
    """End the search early: running trials are completed, then the best trial is reported."""
    return _do(database, queue, lambda session: job_actions.stop(session, job_id))


@router.post("/{job_id}:cancel", responses=_ILLEGAL)
def cancel_job(job_id: JobId, database: DatabaseDep, queue: QueueDep) -> JobView:
    """End a job now: queued trials at once, running trials within seconds. Measured trials are kept."""
    return _do(database, queue, lambda session: job_actions.cancel(session, job_id))


@router.post("/{job_id}:retry", dependencies=[COMPUTES], responses=_ILLEGAL)
def retry_job(
    job_id: JobId,
    database: DatabaseDep,
    queue: QueueDep,
    settings: SettingsDep,
    caller: CallerDep,
    compute: ComputeDep,
) -> JobView:
    """Retry every failed trial; a job that has ended runs again, unless what it was searched on has changed."""
    _check_sources(database, compute, job_id, JobAction.RETRY)

    def retry(session: Session) -> Job:
        job, _ = job_actions.check(session, job_id, JobAction.RETRY)
        _check_run_again(session, settings, caller, job, job.spec["budget"]["trials"])
        return job_actions.retry(session, job_id)

    return _do(database, queue, retry)


def _check_sources(database: Database, compute: Compute, job_id: str, action: JobAction) -> None:
    """SourcesChanged where a job that has ended would go on with other data, or without its files."""
    with database.transaction() as session:
        job, _ = job_actions.check(session, job_id, action)
        has_ended = job.status in JOB_ENDED
    if has_ended:
        compute("check_sources", b"", job_id=job_id)


def _check_run_again(session: Session, settings: Settings, caller: Caller, job: Job, trials: int) -> None:
    """QuotaReached or QuotaExhausted unless a job that has ended may run again, up to `trials` trials."""
    if job.status in JOB_ENDED:
        stored = jobs.trial_counts(session, [job.id])[job.id].total()
        quotas.check_submission(session, settings, caller.tenant, max(trials - stored, 0))


def _do(database: Database, queue: Queue, change: Callable[[Session], Job]) -> JobView:
    """Change a job and wake workers for the trials that it may start; the job afterwards."""
    with database.transaction() as session:
        job = change(session)
        for trial_id in job_actions.startable(session, job):
            queue.enqueue(TaskName.RUN_TRIAL, trial_id)
        queue.enqueue(TaskName.ADVANCE_JOB, job.id)
    with database.reading() as session:
        return job_views.job_view(session, jobs.get(session, job.id))


# --- changes -------------------------------------------------------------------------------------------------------


@router.post(
    "/{job_id}:extend",
    dependencies=[COMPUTES],
    openapi_extra=_body_of(_EXTENSION, required=True),
    responses=_ILLEGAL | _BODY,
)
def extend_job(
    job_id: JobId,
    document: DocumentDep,
    database: DatabaseDep,
    queue: QueueDep,
    settings: SettingsDep,
    caller: CallerDep,
    compute: ComputeDep,
) -> JobView:
    """Add to the budget of a job that has ended, and continue it, unless what it was searched on has changed."""
    more = _extension(document)
    _check_sources(database, compute, job_id, JobAction.EXTEND)

    def extend(session: Session) -> Job:
        job, _ = job_actions.check(session, job_id, JobAction.EXTEND)
        spec = _extended(session, job, more)
        _check_run_again(session, settings, caller, job, spec["budget"]["trials"])
        return job_actions.extend(session, job_id, spec)

    return _do(database, queue, extend)


def _extension(document: Mapping[str, Any]) -> Extension:
    more = validate(Extension, document)
    if more == Extension():
        raise InvalidRequest([Problem("", "name at least one of trials, epochs and seconds")])
    return more


def _extended(session: Session, job: Job, more: Extension) -> dict[str, Any]:
    budget = dict(job.spec["budget"])
    faults = []
    for name in ("trials", "epochs", "seconds"):
        value = getattr(more, name)
        if value is not None and budget.get(name) is None:
            faults.append(Problem(f"/{name}", f"the job has no budget of {name}"))
        elif value is not None:
            budget[name] += value
    faults += _used_up(session, job, budget)
    if faults:
        raise InvalidRequest(faults)
    return _patched(job, {"budget": budget}, trials="/trials").model_dump(mode="json")


def _used_up(session: Session, job: Job, budget: Mapping[str, Any]) -> list[Problem]:
    """Budgets that are used up even after the extension: the job would end at once."""
    faults = []
    if jobs.paid_trials(session, job.id) >= budget["trials"]:
        faults.append(Problem("/trials", f"all {budget['trials']} trials are used: add more"))
    used_s = jobs.active_s(job, database_now(session)) or 0.0
    if budget.get("seconds") is not None and used_s >= budget["seconds"]:
        faults.append(Problem("/seconds", f"{used_s:.0f} of {budget['seconds']:g} s are used: add more"))
    return faults


def _booleans(document: Mapping[str, Any], pointer: str = "") -> list[Problem]:
    """Fields with a boolean: all that can be changed are numbers, and pydantic would accept a boolean as one."""
    faults = [
        Problem(f"{pointer}/{name}", "should be a number")
        for name, value in document.items()
        if isinstance(value, bool)
    ]
    budget = document.get("budget")
    return faults + (_booleans(budget, "/budget") if isinstance(budget, Mapping) else [])


@router.patch(
    "/{job_id}",
    openapi_extra=_body_of(_CHANGES, required=False),
    responses=_ILLEGAL | _BODY,
)
def change_job(
    job_id: JobId,
    document: DocumentDep,
    database: DatabaseDep,
    queue: QueueDep,
    settings: SettingsDep,
    caller: CallerDep,
) -> JobView:
    """Change budget, parallel_trials or priority of an active job, by a merge patch of its specification."""
    faults = [
        Problem(
            f"/{name}",
            f"cannot be changed; only {', '.join(CHANGEABLE)} can. A clone may differ in every field",
        )
        for name in document
        if name not in CHANGEABLE
    ]
    faults += _booleans(document)
    if faults:
        raise InvalidRequest(faults)

    def change(session: Session) -> Job:
        job, _ = job_actions.check(session, job_id, JobAction.PATCH)
        spec = _patched(job, document)
        more = spec.budget.trials - job.spec["budget"]["trials"]
        if more > 0:
            quotas.check_trials(session, settings, caller.tenant, more)
        return job_actions.patch(session, job_id, spec.model_dump(mode="json"))

    return _do(database, queue, change)


def _patched(job: Job, patch: Mapping[str, Any], trials: str = "/budget/trials") -> SearchSpec:
    """The job's specification with a merge patch applied; InvalidRequest with pointers into the patch.

    `trials`: the pointer to the number of trials in the request's body.
    """
    document = merged(job.spec, patch)
    spec = validate(SearchSpec, document)
    old = job.spec["budget"]["trials"]
    if spec.schedule.kind != "whole_model" and spec.budget.trials != old:
        text = (
            f"the schedule {spec.schedule.kind} has divided the {old} trials among its stages: clone the job"
        )
        raise InvalidRequest([Problem(trials, text)])
    return spec


_CLONE = (
    problem_responses(_404="No such job", _409="A request with this Idempotency-Key is still in progress")
    | _BODY
    | STARTED
)


@router.post(
    "/{job_id}:clone",
    status_code=202,
    dependencies=[COMPUTES],
    openapi_extra=_body_of(_PATCH, required=False),
    responses=_CLONE,
)
def clone_job(
    job_id: JobId,
    document: DocumentDep,
    response: Response,
    intake: IntakeDep,
    idempotency_key: IdempotencyKey = None,
) -> JobView:
    """Start a new job with the specification of this one, changed by a merge patch (RFC 7396). The body may be empty.

    An object whose `kind` changes is replaced, not merged.
    """
    with intake.database.reading() as session:
        spec = jobs.get(session, job_id).spec
    changed = merged(spec, document)
    request = intake.request(f"POST /v1/jobs/{job_id}:clone", idempotency_key, json.dumps(document).encode())
    return intake.start(json.dumps(changed).encode(), response, request, cloned_from=job_id)


@router.delete("/{job_id}", status_code=204, dependencies=[ADMINISTERS], responses=_ILLEGAL)
def delete_job(job_id: JobId, database: DatabaseDep) -> None:
    """Delete a job that has ended, with its trials, events and files."""
    with database.transaction() as session:
        job_actions.delete(session, job_id)
