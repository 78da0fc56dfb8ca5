"""Exports of trials: requested, listed, downloaded, deleted; and which formats would take a trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import FileResponse

from quantization.export.errors import InvalidOption, UnknownFormat
from quantization.export.formats import export_format
from quantization.export.legality.base import Refusal
from search.errors import Problem, pointer_token
from search.results.exports import ExportSpec, ExportStatus, export_name
from search.trial_files import NETWORK_FILE, QUANTIZERS_FILE
from service.api.deps import (
    ADMINISTERS,
    READS,
    SUBMITS,
    BlobsDep,
    BodyDep,
    CallerDep,
    DatabaseDep,
    JobId,
    QueueDep,
    SessionDep,
    SettingsDep,
    TrialNumber,
)
from service.api.files import stored_file
from service.api.responses import etag_of, is_known, mark, not_modified, problem_responses
from service.errors import ArtifactNotFound, Conflict, InvalidRequest
from service.parsing import parse
from service.queue import TaskName
from service.schemas.exports import ExportList, ExportView, FormatList
from service.store import exports, jobs, quotas
from service.store.blobs import BlobStore
from service.views.documents import format_refusals
from service.views.exports import export_view, format_views

router = APIRouter(prefix="/v1/jobs/{job_id}/trials/{number}", tags=["exports"], dependencies=[READS])

_ZIP: Final = "application/zip"
_FILE: Final[dict[str, Any]] = {_ZIP: {"schema": {"type": "string", "format": "binary"}}}
_MISSING: Final = problem_responses(_404="No such job, trial or export")
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/ExportSpec"},
                "example": {"format": "keras"},
            }
        },
    }
}

ExportName = Annotated[str, Path(pattern=r"^[a-z0-9_-]{1,80}$", description="name of the export")]


def _spec(body: BodyDep) -> ExportSpec:
    return parse(ExportSpec, body).spec


@router.post(
    "/exports",
    status_code=202,
    dependencies=[SUBMITS],
    openapi_extra=_BODY,
    responses=problem_responses(
        _400="The body is not JSON",
        _403="A quota of the tenant is used up",
        _404="No such job or trial",
        _409="The trial has no trained model, or no final training that is done",
        _415="The body is not application/json",
        _422="The body is not valid, or the format cannot express the trial: the layers are named",
    ),
)
def create_export(
    job_id: JobId,
    number: TrialNumber,
    spec: Annotated[ExportSpec, Depends(_spec)],
    caller: CallerDep,
    settings: SettingsDep,
    database: DatabaseDep,
    queue: QueueDep,
    blobs: BlobsDep,
    response: Response,
) -> ExportView:
    """Export a trial in a format; a worker makes it. The same format, options and model give the same export."""
    name, options = _checked(spec)
    with database.transaction() as session:
        files = exports.source_files(session, job_id, number, spec.model)
        _check_taken(spec.format, files, blobs)
        row, is_new = exports.request(session, job_id, number, spec, name, options)
        if is_new:
            quotas.check_work_on_trial(session, settings, caller.tenant)
            queue.enqueue(TaskName.MAKE_EXPORT, row.id)
        view = export_view(job_id, number, row)
    response.headers["Location"] = f"/v1/jobs/{job_id}/trials/{number}/exports/{name}"
    return view


def _checked(spec: ExportSpec) -> tuple[str, dict[str, Any]]:
    """Name and options of the export; InvalidRequest where the format does not exist or take them."""
    try:
        chosen = export_format(spec.format)
        options = chosen.checked(spec.options)
    except UnknownFormat as error:
        raise InvalidRequest([Problem("/format", str(error))]) from None
    except InvalidOption as error:
        raise InvalidRequest([Problem(f"/options/{pointer_token(error.option)}", str(error))]) from None
    return export_name(spec, options, chosen.checked({})), options


def _check_taken(name: str, files: dict[str, str], blobs: BlobStore) -> None:
    """InvalidRequest naming every layer that the format cannot express, or the formats of such a network."""
    refused = _refusals(files, blobs)
    if name not in refused:
        error = UnknownFormat(name, refused, export_format(name).networks)
        raise InvalidRequest([Problem("/format", str(error))])
    if refused[name]:
        raise InvalidRequest([Problem("/format", f"{name}: {refusal}") for refusal in refused[name]])


def _refusals(files: dict[str, str], blobs: BlobStore) -> Mapping[str, list[Refusal]]:
    """Format -> what it cannot express. Conflict for a trial without a network that is described."""
    refusals = format_refusals(files, blobs)
    if refusals is None:
        raise Conflict(f"the trial has no {QUANTIZERS_FILE} and no {NETWORK_FILE}: nothing can be exported")
    return refusals


@router.get("/exports", responses=problem_responses(_404="No such job or trial"))
def list_exports(
    request: Request, response: Response, job_id: JobId, number: TrialNumber, session: SessionDep
) -> ExportList:
    """The exports of a trial with their state, size, SHA-256 and proof, oldest first."""
    job = jobs.get(session, job_id)
    etag = etag_of(job.id, job.version, "exports")
    if is_known(request, etag):
        return not_modified(etag)  # type: ignore[return-value]
    mark(response, etag)
    rows = exports.of_trial(session, job_id, number)
    return ExportList(items=tuple(export_view(job_id, number, row) for row in rows))


@router.get("/exports/{name}", responses=_MISSING)
def read_export(job_id: JobId, number: TrialNumber, name: ExportName, session: SessionDep) -> ExportView:
    """An export of a trial: its state, and its proof once it is done."""
    return export_view(job_id, number, exports.get(session, job_id, number, name))


@router.get(
    "/exports/{name}/file",
    response_class=FileResponse,
    responses={
        200: {"content": _FILE, "description": "The zip"},
        206: {"content": _FILE, "description": "The bytes of the requested range"},
        **problem_responses(
            _404="No such job, trial or export",
            _409="The export is not done",
            _416="The requested range is not in the file",
        ),
    },
)
def download_export(
    request: Request,
    job_id: JobId,
    number: TrialNumber,
    name: ExportName,
    database: DatabaseDep,
    blobs: BlobsDep,
) -> Response:
    """Download an export as a zip, or a byte range of it (Range, If-Range); the entity tag is its SHA-256."""
    with database.reading() as session:  # closed before the file is sent
        row = exports.get(session, job_id, number, name)
    if row.status != ExportStatus.DONE or row.sha256 is None:
        raise Conflict(f"export {name!r} is {row.status}" + (f": {row.reason}" if row.reason else ""))
    missing = ArtifactNotFound(f"the content of export {name!r} is missing from the blob folder")
    return stored_file(request, blobs, row.sha256, f"{job_id}-{number}-{name}.zip", missing)


@router.delete("/exports/{name}", status_code=204, dependencies=[ADMINISTERS], responses=_MISSING)
def delete_export(job_id: JobId, number: TrialNumber, name: ExportName, database: DatabaseDep) -> Response:
    """Delete an export and its file; the trial and its model stay. One that is being made is given up."""
    with database.transaction() as session:
        exports.remove(session, job_id, number, name)
    return Response(status_code=204)


@router.get(
    "/formats",
    responses=problem_responses(_404="No such job or trial", _409="The trial has no trained model"),
)
def list_formats(job_id: JobId, number: TrialNumber, session: SessionDep, blobs: BlobsDep) -> FormatList:
    """Every export format, and which layers of the trial it cannot express."""
    files = exports.source_files(session, job_id, number, "trial")
    return FormatList(items=format_views(_refusals(files, blobs)))
