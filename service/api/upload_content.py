"""The files of uploaded models and data sets, as they were sent."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from service.api.deps import READS, BlobsDep, DatabaseDep
from service.api.files import stored_file
from service.api.responses import problem_responses
from service.api.uploads import UploadId
from service.errors import Conflict, UploadNotFound
from service.store import uploads
from service.store.blobs import BlobStore
from service.store.session import Database
from service.store.uploads import UploadKind

router = APIRouter(dependencies=[READS])

_BYTES = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_RESPONSES = {
    200: {"content": _BYTES, "description": "The file"},
    206: {"content": _BYTES, "description": "The bytes of the requested range"},
    **problem_responses(
        _404="No such upload",
        _409="The upload is incomplete",
        _416="The requested range is not in the file",
    ),
}


@router.get(
    "/v1/models/{upload_id}/content",
    tags=["models"],
    response_class=FileResponse,
    responses=_RESPONSES,
)
def download_model(request: Request, upload_id: UploadId, database: DatabaseDep, blobs: BlobsDep) -> Response:
    """Download an uploaded model as it was sent, or a byte range of it; the entity tag is its SHA-256."""
    return _content(request, UploadKind.MODEL, upload_id, database, blobs)


@router.get(
    "/v1/datasets/{upload_id}/content",
    tags=["datasets"],
    response_class=FileResponse,
    responses=_RESPONSES,
)
def download_dataset(
    request: Request, upload_id: UploadId, database: DatabaseDep, blobs: BlobsDep
) -> Response:
    """Download an uploaded data set as it was sent, or a byte range of it; the entity tag is its SHA-256."""
    return _content(request, UploadKind.DATA, upload_id, database, blobs)


def _content(
    request: Request, kind: UploadKind, upload_id: str, database: Database, blobs: BlobStore
) -> Response:
    with database.reading() as session:  # closed before the file is sent
        upload = uploads.get(session, kind, upload_id)
    if upload.completed_at is None or upload.sha256 is None:
        raise Conflict(f"the {kind.noun} {upload_id} is incomplete: its bytes have not all arrived")
    missing = UploadNotFound(f"the file of the {kind.noun} {upload_id} is missing from the blob folder")
    return stored_file(request, blobs, upload.sha256, upload.name, missing)
