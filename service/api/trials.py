"""Trials of a job, and their files."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse

from search.history import TrialStatus
from service.api import pagination
from service.api.deps import READS, BlobsDep, Cursor, DatabaseDep, JobId, Limit, SessionDep, TrialNumber
from service.api.files import stored_file
from service.api.jobs import job_etag
from service.api.responses import etag_of, is_known, mark, not_modified, problem_responses
from service.errors import ArtifactNotFound
from service.schemas.jobs import Page, SparsePage, TrialSummary, TrialView
from service.store import final_trainings, jobs, reading, trials
from service.store.query import parse_fields
from service.views import trials as views
from service.views.documents import device_figures
from service.views.scoring import scorer, scoring

router = APIRouter(prefix="/v1/jobs/{job_id}/trials", tags=["trials"], dependencies=[READS])

_CONTENT: Final[dict[str, Any]] = {"application/octet-stream": {}, "application/json": {}}
ArtifactName = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]{1,100}$", description="name of the file")]


@router.get(
    "",
    response_model=Page[TrialSummary] | SparsePage,
    responses=problem_responses(_404="No such job"),
)
def list_trials(
    request: Request,
    job_id: JobId,
    session: SessionDep,
    limit: Limit = 100,
    cursor: Cursor = None,
    status: Annotated[TrialStatus | None, Query(description="only trials with this status")] = None,
    sort: pagination.SortText = "number",
    filter: pagination.FilterText = None,  # noqa: A002 -- the name of the parameter
    fields: pagination.FieldsText = None,
) -> Response:
    """List trials by number."""
    etag = etag_of(job_id, reading.version(session, job_id))
    query = pagination.page_query(
        sort=sort or "number",
        conditions=pagination.with_condition(filter, "status", status),
        cursor=cursor,
        limit=limit,
        fields=reading.TRIAL_FIELDS,
        choices=reading.TRIAL_CHOICES,
        unique="number",
    )
    names = parse_fields(fields, tuple(TrialSummary.model_fields))
    if is_known(request, etag):
        return not_modified(etag)
    scores = scoring(jobs.get(session, job_id))
    columns = [name for name in reading.TRIAL_FIELDS if name != reading.SCORE]
    rows = reading.trial_page(session, job_id, columns, query, scores)
    items = [views.trial_item(row, scores.score, names) for _, row in rows[:limit]]
    return pagination.page(items, pagination.next_cursor(query, [end for end, _ in rows]), etag)


@router.get("/{number}", responses=problem_responses(_404="No such job or trial"))
def read_trial(
    request: Request,
    response: Response,
    job_id: JobId,
    number: TrialNumber,
    session: SessionDep,
    blobs: BlobsDep,
) -> TrialView:
    """Read a trial: quantizers and energy of each layer, learning curve, versions, durations, files, device figures."""
    job = jobs.get(session, job_id)
    row = trials.get(session, job_id, number)
    etag = job_etag(job)
    if is_known(request, etag):
        return not_modified(etag)  # type: ignore[return-value]
    mark(response, etag)
    files = trials.artifacts(session, row)
    return views.trial_view(
        row,
        scorer(job),
        epochs=trials.epochs(session, row),
        layers=trials.layers(session, row),
        files=files,
        attempts=trials.attempts(session, row),
        final_status=final_trainings.status(session, row.id),
        device=device_figures({file.name: file.sha256 for file in files}, blobs),
    )


@router.get(
    "/{number}/artifacts/{name}",
    response_class=FileResponse,
    responses={
        200: {"content": _CONTENT, "description": "The file"},
        206: {"content": _CONTENT, "description": "The bytes of the requested range"},
        **problem_responses(_404="No such job, trial or file", _416="The requested range is not in the file"),
    },
)
def download(
    request: Request,
    job_id: JobId,
    number: TrialNumber,
    name: ArtifactName,
    database: DatabaseDep,
    blobs: BlobsDep,
) -> Response:
    """Download a file of a trial, or a byte range of it (Range, If-Range); the entity tag is its SHA-256."""
    with database.reading() as session:  # closed before the file is sent
        row = trials.artifact(session, trials.get(session, job_id, number), name)
    missing = ArtifactNotFound(f"the content of {name!r} is missing from the blob folder")
    return stored_file(request, blobs, row.sha256, f"{job_id}-{number}-{name}", missing)
