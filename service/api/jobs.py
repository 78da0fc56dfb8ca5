"""Submission and reading of jobs. Actions on jobs are in `service.api.job_actions`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from search.history import JobStatus
from service.api import pagination
from service.api.compute import COMPUTES
from service.api.deps import (
    READS,
    SUBMITS,
    BodyDep,
    Cursor,
    JobId,
    Limit,
    SessionDep,
    SettingsDep,
    WholeDatabaseDep,
)
from service.api.responses import etag_of, is_known, mark, not_modified, problem_responses
from service.api.submission import STARTED, IdempotencyKey, IntakeDep
from service.schemas.jobs import BestView, JobSummary, JobView, Page, ParetoView, SparsePage
from service.store import jobs, reading
from service.store.models import Job
from service.store.query import parse_fields
from service.store.waiting import waiting
from service.views import jobs as job_views

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[READS])

JOB_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SearchSpec"}}},
    }
}
REFUSED = problem_responses(
    _400="The body is not JSON",
    _413="The body is too large",
    _415="The body is not application/json",
    _422="The job is not valid: a pointer and a message for each fault",
)
_MISSING = problem_responses(_404="No such job")


@router.post(
    "",
    status_code=202,
    dependencies=[SUBMITS, COMPUTES],
    openapi_extra=JOB_BODY,
    responses=REFUSED
    | problem_responses(_409="A request with this Idempotency-Key is still in progress")
    | STARTED,
)
def submit(
    body: BodyDep, response: Response, intake: IntakeDep, idempotency_key: IdempotencyKey = None
) -> JobView:
    """Validate a job, store it, and start it."""
    request = intake.request("POST /v1/jobs", idempotency_key, body)
    return intake.start(body, response, request)


@router.get("", response_model=Page[JobSummary] | SparsePage)
def list_jobs(
    request: Request,
    session: SessionDep,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: Annotated[JobStatus | None, Query(description="only jobs with this status")] = None,
    sort: pagination.SortText = "-created_at",
    filter: pagination.FilterText = None,  # noqa: A002 -- the name of the parameter
    fields: pagination.FieldsText = None,
) -> Response:
    """List jobs, newest first."""
    query = pagination.page_query(
        sort=sort or "-created_at",
        conditions=pagination.with_condition(filter, "status", status),
        cursor=cursor,
        limit=limit,
        fields=reading.JOB_FIELDS,
        choices=reading.JOB_CHOICES,
        unique="id",
    )
    names = parse_fields(fields, tuple(JobSummary.model_fields))
    rows = reading.job_page(session, query)
    etag = etag_of(*(f"{job.id}:{job.version}" for job in rows), limit)
    if is_known(request, etag):
        return not_modified(etag)
    items = job_views.summaries(session, rows[:limit], names)
    ends = [(getattr(job, query.sort.field), job.id) for job in rows]
    return pagination.page(items, pagination.next_cursor(query, ends), etag)


@router.get("/{job_id}", responses=_MISSING)
def read_job(
    request: Request,
    response: Response,
    job_id: JobId,
    session: SessionDep,
    whole: WholeDatabaseDep,
    settings: SettingsDep,
) -> JobView:
    """Read a job: status, progress, best trial so far, reference cost, warnings, specification."""
    job = jobs.get(session, job_id)
    with whole.reading() as all_tenants:
        reason = waiting(all_tenants, job, settings.heartbeat)
    # the reason is no part of the version, so it must not outlive it in a cache
    etag = etag_of(job.id, job.version, *([] if reason is None else [reason]))
    if is_known(request, etag):
        return not_modified(etag)  # type: ignore[return-value]
    mark(response, etag)
    return job_views.job_view(session, job, reason)


def job_etag(job: Job) -> str:
    """The entity tag of everything that is read of a job."""
    return etag_of(job.id, job.version)


@router.get("/{job_id}/best", responses=_MISSING)
def best_trials(
    request: Request,
    response: Response,
    job_id: JobId,
    session: SessionDep,
    k: Annotated[int, Query(ge=1, le=1000, description="number of trials")] = 10,
    delta_p: Annotated[float | None, Query(ge=0, le=100, description="replaces the goal's")] = None,
    delta_n: Annotated[float | None, Query(ge=0, le=100, description="replaces the goal's")] = None,
    rate: Annotated[float | None, Query(gt=1, le=1e6, description="replaces the goal's")] = None,
    stress: Annotated[float | None, Query(gt=0, le=1e6, description="replaces the goal's")] = None,
) -> BestView:
    """The measured trials with the highest scores: under the job's goal, or with other numbers in it."""
    job = jobs.get(session, job_id)
    etag = job_etag(job)
    if is_known(request, etag):
        return not_modified(etag)  # type: ignore[return-value]
    mark(response, etag)
    numbers = {"delta_p": delta_p, "delta_n": delta_n, "rate": rate, "stress": stress}
    overrides = {name: value for name, value in numbers.items() if value is not None}
    return BestView(items=tuple(job_views.best(session, job, k, overrides)))


@router.get("/{job_id}/pareto", responses=_MISSING)
def pareto_front(request: Request, response: Response, job_id: JobId, session: SessionDep) -> ParetoView:
    """The Pareto front: the trials that no other trial beats in both metric and cost."""
    job = jobs.get(session, job_id)
    etag = job_etag(job)
    if is_known(request, etag):
        return not_modified(etag)  # type: ignore[return-value]
    mark(response, etag)
    return ParetoView(cost_unit=job.cost_unit, items=tuple(job_views.front(session, job)))
