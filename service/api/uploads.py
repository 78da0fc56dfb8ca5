"""Uploaded models and data sets: created, then sent in one or several parts, checked, read, deleted.

The bytes are a raw body and are written to disk as they arrive. `PUT` sends them from the start; after an interruption
`HEAD` returns the offset and `PATCH` continues (the draft "Resumable Uploads for HTTP" without interim responses).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Header, Path, Request, Response

from search.errors import Problem
from search.networks.zoo import ZOO
from service.api.deps import (
    ADMINISTERS,
    READS,
    SUBMITS,
    BodyDep,
    CallerDep,
    Cursor,
    DatabaseDep,
    Limit,
    SessionDep,
    SettingsDep,
    UploadPartsDep,
    decode_cursor,
    encode_cursor,
)
from service.api.responses import problem_responses
from service.api.upload_reception import DATASETS, MODELS, UploadReceiver, UploadResource
from service.errors import InvalidParameter, InvalidRequest, TooLarge, UploadNotFound
from service.parsing import parse
from service.schemas.jobs import Page
from service.schemas.uploads import (
    DatasetItem,
    DatasetView,
    ModelItem,
    ModelUploadView,
    NewUploadBody,
    UploadView,
)
from service.store import quotas, uploads
from service.store.upload_models import Upload
from service.store.uploads import NewUpload, UploadKind

router = APIRouter(dependencies=[READS])

View = TypeVar("View", bound=UploadView)

_ID: Final = re.compile(r"[0-9a-f]{16}")
_NEW_UPLOAD: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewUploadBody"}}},
    }
}
_BYTES: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_MISSING: Final = problem_responses(_404="No such upload")


async def _upload_id(upload_id: Annotated[str, Path(description="id of an upload")]) -> str:
    if not _ID.fullmatch(upload_id):
        raise UploadNotFound(f"no upload has the id {upload_id[:40]!r}")
    return upload_id


def _new_upload(body: BodyDep) -> NewUploadBody:
    return parse(NewUploadBody, body).spec


UploadId = Annotated[str, Depends(_upload_id)]
NewUploadDep = Annotated[NewUploadBody, Depends(_new_upload)]
Offset = Annotated[int, Header(ge=0, le=2**53, description="number of bytes received so far")]


# --- routes of models and data sets --------------------------------------------------------------------------------


def _view(receiver: UploadReceiver, upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "name": upload.name,
        "status": _status(upload),
        "size_bytes": upload.size_bytes,
        "received_bytes": receiver.received_bytes(upload),
        "sha256": upload.sha256,
        "format": upload.format,
        "created_at": upload.created_at,
        "completed_at": upload.completed_at,
        **(upload.details or {}),
    }


def _status(upload: Upload) -> str:
    return "incomplete" if upload.completed_at is None else "complete"


def _offset_headers(receiver: UploadReceiver, upload: Upload) -> Mapping[str, str]:
    return {
        "Upload-Offset": str(receiver.received_bytes(upload)),
        "Upload-Length": str(upload.size_bytes),
        "Upload-Complete": "?0" if upload.completed_at is None else "?1",
        "Cache-Control": "no-store",
    }


def _other_response(status: int, view: type[View], text: str) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": view, "description": text}}


def _add_routes(resource: UploadResource, view: type[View]) -> None:
    """The routes that models and data sets share."""
    part = APIRouter(prefix=resource.path, tags=[resource.path.rpartition("/")[2]], dependencies=[READS])

    async def _receiver(database: DatabaseDep, incoming: UploadPartsDep) -> UploadReceiver:
        return UploadReceiver(resource, database, incoming)

    receiver_dep = Depends(_receiver)
    _add_declaring(part, resource, view, receiver_dep)
    _add_content(part, resource, view, receiver_dep)
    _add_reading(part, resource, view, receiver_dep)
    router.routes.extend(part.routes)  # as they are: `service.app._mount` says why


def _add_declaring(part: APIRouter, resource: UploadResource, view: type[View], receiver_dep: Any) -> None:
    """The route that creates an upload."""

    @part.post(
        "",
        status_code=201,
        response_model=view,
        name=f"create_{resource.kind}",
        dependencies=[SUBMITS],
        openapi_extra=_NEW_UPLOAD,
        responses=_other_response(200, view, "The content was uploaded before: there is nothing to send")
        | problem_responses(
            _400="The body is not JSON",
            _403="The storage quota of the tenant is used up",
            _413="The file is larger than the limit",
            _415="The body is not application/json",
            _422="The body is not valid: a pointer and a message for each fault",
        ),
        description=f"Create the upload of a {resource.kind.noun}. Then send its bytes to its `content`.",
    )
    def create(
        declared: NewUploadDep,
        caller: CallerDep,
        settings: SettingsDep,
        response: Response,
        receiver: UploadReceiver = receiver_dep,
    ) -> dict[str, Any]:
        if declared.size_bytes > settings.max_upload_bytes:
            raise TooLarge(
                f"the file is larger than the limit of {settings.max_upload_bytes} bytes (FEWBITS_MAX_UPLOAD_BYTES)"
            )
        conversion = None if declared.conversion is None else declared.conversion.model_dump(mode="json")
        if conversion is not None and resource.kind is UploadKind.MODEL:
            raise InvalidRequest([Problem("/conversion", "is for data sets, not for models: leave it out")])
        new = NewUpload(resource.kind, declared.name, declared.size_bytes, declared.sha256, conversion)
        with receiver.database.transaction() as session:
            upload = uploads.find_complete(session, new)
            response.status_code = 201 if upload is None else 200
            if upload is None:
                quotas.check_bytes(session, settings, caller.tenant, declared.size_bytes)
                upload = uploads.create(session, new)
        response.headers["Location"] = f"{resource.path}/{upload.id}"
        return _view(receiver, upload)


def _add_content(part: APIRouter, resource: UploadResource, view: type[View], receiver_dep: Any) -> None:
    """The routes that receive the bytes of an upload."""
    noun = resource.kind.noun
    written: dict[str, Any] = {
        "response_model": view,
        "dependencies": [SUBMITS],
        "openapi_extra": _BYTES,
        "responses": _other_response(202, view, "More bytes are needed")
        | problem_responses(
            _404="No such upload",
            _409="The offset is wrong, another request is writing, or the upload is complete",
            _413="More bytes were sent than declared; the upload is deleted",
            _422="The content is not accepted; the upload is deleted",
        ),
    }

    @part.put(
        "/{upload_id}/content",
        name=f"put_{resource.kind}_content",
        description=f"Send the bytes of a {noun} from the start, replacing those sent before.",
        **written,
    )
    async def put(
        upload_id: UploadId, request: Request, response: Response, receiver: UploadReceiver = receiver_dep
    ) -> dict[str, Any]:
        return await _receive(receiver, upload_id, None, request, response)

    @part.patch(
        "/{upload_id}/content",
        name=f"append_{resource.kind}_content",
        description=f"Send the next bytes of a {noun}, starting at `Upload-Offset`.",
        **written,
    )
    async def append(
        upload_id: UploadId,
        upload_offset: Offset,
        request: Request,
        response: Response,
        receiver: UploadReceiver = receiver_dep,
    ) -> dict[str, Any]:
        return await _receive(receiver, upload_id, upload_offset, request, response)

    @part.head(
        "/{upload_id}/content",
        status_code=204,
        name=f"offset_of_{resource.kind}",
        responses=_MISSING,
        description="The state of an upload: `Upload-Offset`, `Upload-Length`, `Upload-Complete`.",
    )
    def offset(upload_id: UploadId, session: SessionDep, receiver: UploadReceiver = receiver_dep) -> Response:
        upload = uploads.get(session, resource.kind, upload_id)
        return Response(status_code=204, headers=dict(_offset_headers(receiver, upload)))


async def _receive(
    receiver: UploadReceiver, upload_id: str, offset: int | None, request: Request, response: Response
) -> dict[str, Any]:
    declared = request.headers.get("content-length")
    length = None if declared is None else int(declared)  # `RequestGuard` has checked that it is a number
    upload = await receiver.receive(upload_id, offset, request.stream(), length)
    response.headers.update(_offset_headers(receiver, upload))
    response.status_code = 202 if upload.completed_at is None else 200
    return _view(receiver, upload)


def _add_reading(part: APIRouter, resource: UploadResource, view: type[View], receiver_dep: Any) -> None:
    """The routes that read and delete an upload."""
    noun = resource.kind.noun

    @part.get(
        "/{upload_id}",
        response_model=view,
        name=f"read_{resource.kind}",
        responses=_MISSING,
        description=f"Read an uploaded {noun} and its details.",
    )
    def read(
        upload_id: UploadId, session: SessionDep, response: Response, receiver: UploadReceiver = receiver_dep
    ) -> dict[str, Any]:
        response.headers["Cache-Control"] = "no-cache"
        return _view(receiver, uploads.get(session, resource.kind, upload_id))

    @part.delete(
        "/{upload_id}",
        status_code=204,
        name=f"delete_{resource.kind}",
        dependencies=[ADMINISTERS],
        responses=_MISSING | problem_responses(_409="A job that has not ended uses it"),
        description=f"Delete an uploaded {noun}. Jobs that have ended keep their results.",
    )
    def delete(upload_id: UploadId, receiver: UploadReceiver = receiver_dep) -> Response:
        receiver.delete(upload_id)
        return Response(status_code=204)


# --- lists ---------------------------------------------------------------------------------------------------------


@router.get("/v1/models", tags=["models"])
def list_models(session: SessionDep, limit: Limit = 100, cursor: Cursor = None) -> Page[ModelItem]:
    """List the networks of the zoo, then the tenant's models, newest first."""
    index = _zoo_index(cursor)
    shipped = list(ZOO.items())[index : index + limit] if index is not None else []
    items = [
        ModelItem(kind="zoo", name=name, description=(make.__doc__ or "").strip().splitlines()[0])
        for name, make in shipped
    ]
    if index is not None and index + len(items) < len(ZOO):
        return Page(items=tuple(items), next_cursor=encode_cursor(index + len(items)))
    before = None if cursor is None or index is not None else _upload_end(cursor)
    room = limit - len(items)
    rows = uploads.page(session, UploadKind.MODEL, limit=room + 1, before=before)
    items += [_model_item(row) for row in rows[:room]]
    if len(rows) <= room:
        return Page(items=tuple(items))
    after = _cursor_after(rows[room - 1]) if room else encode_cursor(len(ZOO))
    return Page(items=tuple(items), next_cursor=after)


@router.get("/v1/datasets", tags=["datasets"])
def list_datasets(session: SessionDep, limit: Limit = 100, cursor: Cursor = None) -> Page[DatasetItem]:
    """List the tenant's data sets, newest first."""
    before = None if cursor is None else _upload_end(cursor)
    rows = uploads.page(session, UploadKind.DATA, limit=limit + 1, before=before)
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(
        items=tuple(_dataset_item(row) for row in shown),
        next_cursor=_cursor_after(shown[-1]) if more else None,
    )


def _zoo_index(cursor: str | None) -> int | None:
    """The index in the zoo at which a page starts; None if it starts after the zoo."""
    if cursor is None:
        return 0
    values = decode_cursor(cursor)
    if len(values) == 1 and type(values[0]) is int and 0 <= values[0] <= len(ZOO):
        return int(values[0])
    return None


def _upload_end(cursor: str) -> tuple[datetime, str]:
    moment, upload_id = decode_cursor(cursor, str, str)
    try:
        return datetime.fromisoformat(moment), upload_id.replace("\0", "")
    except ValueError:
        raise InvalidParameter("cursor", "must be the next_cursor of a page") from None


def _cursor_after(upload: Upload) -> str:
    return encode_cursor(upload.created_at.isoformat(), upload.id)


def _model_item(upload: Upload) -> ModelItem:
    details = upload.details or {}
    layers, parameters = len(details.get("layers", ())), details.get("parameters")
    description = f"{upload.format}, {layers} layers, {parameters} parameters" if details else "incomplete"
    return ModelItem(
        kind="uploaded",
        name=upload.name,
        description=description,
        id=upload.id,
        status=_status(upload),
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        parameters=parameters,
        created_at=upload.created_at,
    )


def _dataset_item(upload: Upload) -> DatasetItem:
    return DatasetItem(
        id=upload.id,
        name=upload.name,
        status=_status(upload),
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        arrays=(upload.details or {}).get("arrays", ()),
        created_at=upload.created_at,
    )


_add_routes(MODELS, ModelUploadView)
_add_routes(DATASETS, DatasetView)
