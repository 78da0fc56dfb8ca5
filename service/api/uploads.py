"""Uploaded models and data sets: declared, filled with bytes in one piece or several, checked, read, deleted.

The bytes come as a raw body and go to disk as they come. `PUT` sends them from the start; after an interruption `HEAD`
tells how many are there and `PATCH` goes on (the draft "Resumable Uploads for HTTP", but for its interim responses).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from pydantic import ValidationError

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
from service.api.upload_reception import DATASETS, MODELS, Reception, Resource
from service.errors import InvalidParameter, InvalidRequest, TooLarge, UploadNotFound
from service.parsing import parse_json, problems
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
_DECLARED: Final = {
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
        raise UploadNotFound(f"nothing was uploaded under the id {upload_id[:40]!r}")
    return upload_id


async def _declared(body: BodyDep) -> NewUploadBody:
    document = parse_json(body)
    try:
        return NewUploadBody.model_validate(document)
    except ValidationError as error:
        raise InvalidRequest(problems(error.errors(include_url=False), document)) from None


UploadId = Annotated[str, Depends(_upload_id)]
DeclaredDep = Annotated[NewUploadBody, Depends(_declared)]
Offset = Annotated[int, Header(ge=0, le=2**53, description="how many bytes are there already")]


# --- what both do --------------------------------------------------------------------------------------------------


def _view(reception: Reception, upload: Upload) -> dict[str, Any]:
    return {
        "id": upload.id,
        "name": upload.name,
        "status": _status(upload),
        "size_bytes": upload.size_bytes,
        "received_bytes": reception.received_bytes(upload),
        "sha256": upload.sha256,
        "format": upload.format,
        "created_at": upload.created_at,
        "completed_at": upload.completed_at,
        **(upload.details or {}),
    }


def _status(upload: Upload) -> str:
    return "incomplete" if upload.completed_at is None else "complete"


def _state(reception: Reception, upload: Upload) -> Mapping[str, str]:
    return {
        "Upload-Offset": str(reception.received_bytes(upload)),
        "Upload-Length": str(upload.size_bytes),
        "Upload-Complete": "?0" if upload.completed_at is None else "?1",
        "Cache-Control": "no-store",
    }


def _also(status: int, view: type[View], text: str) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": view, "description": text}}


def _add_routes(resource: Resource, view: type[View]) -> None:
    """The routes that models and data sets share."""
    part = APIRouter(prefix=resource.path, tags=[resource.path.rpartition("/")[2]], dependencies=[READS])

    async def _reception(database: DatabaseDep, incoming: UploadPartsDep) -> Reception:
        return Reception(resource, database, incoming)

    reception_dep = Depends(_reception)
    _add_declaring(part, resource, view, reception_dep)
    _add_content(part, resource, view, reception_dep)
    _add_reading(part, resource, view, reception_dep)
    router.routes.extend(part.routes)  # as they are: `service.app._mount` says why


def _add_declaring(part: APIRouter, resource: Resource, view: type[View], reception_dep: Any) -> None:
    """What begins an upload."""

    @part.post(
        "",
        status_code=201,
        response_model=view,
        name=f"create_{resource.kind}",
        dependencies=[SUBMITS],
        openapi_extra=_DECLARED,
        responses=_also(200, view, "Known content: there is nothing to send")
        | problem_responses(
            _400="The body is not JSON",
            _403="The tenant has stored as much as it may",
            _413="The file is larger than files may be",
            _415="The body is not application/json",
            _422="A field is wrong: a pointer and a message for each fault",
        ),
        description=f"Declare a {resource.kind.noun}. Its bytes come next, to its `content`.",
    )
    def create(
        declared: DeclaredDep,
        caller: CallerDep,
        settings: SettingsDep,
        response: Response,
        reception: Reception = reception_dep,
    ) -> dict[str, Any]:
        if declared.size_bytes > settings.max_upload_bytes:
            raise TooLarge(f"a file may have {settings.max_upload_bytes} bytes (FEWBITS_MAX_UPLOAD_BYTES)")
        new = NewUpload(resource.kind, declared.name, declared.size_bytes, declared.sha256)
        with reception.database.transaction() as session:
            upload = uploads.find_complete(session, new)
            response.status_code = 201 if upload is None else 200
            if upload is None:
                quotas.check_bytes(session, settings, caller.tenant, declared.size_bytes)
                upload = uploads.create(session, new)
        response.headers["Location"] = f"{resource.path}/{upload.id}"
        return _view(reception, upload)


def _add_content(part: APIRouter, resource: Resource, view: type[View], reception_dep: Any) -> None:
    """What brings the bytes of an upload."""
    noun = resource.kind.noun
    written: dict[str, Any] = {
        "response_model": view,
        "dependencies": [SUBMITS],
        "openapi_extra": _BYTES,
        "responses": _also(202, view, "Bytes are missing still")
        | problem_responses(
            _404="No such upload",
            _409="Bytes before this part are missing, another request is writing, or all bytes are there",
            _413="More bytes came than were declared; nothing is kept",
            _422="The content is refused; nothing is kept",
        ),
    }

    @part.put(
        "/{upload_id}/content",
        name=f"put_{resource.kind}_content",
        description=f"Send the bytes of a {noun} from the start. What was sent before is dropped.",
        **written,
    )
    async def put(
        upload_id: UploadId, request: Request, response: Response, reception: Reception = reception_dep
    ) -> dict[str, Any]:
        return await _receive(reception, upload_id, None, request, response)

    @part.patch(
        "/{upload_id}/content",
        name=f"append_{resource.kind}_content",
        description=f"Send the next bytes of a {noun}, from `Upload-Offset` on.",
        **written,
    )
    async def append(
        upload_id: UploadId,
        upload_offset: Offset,
        request: Request,
        response: Response,
        reception: Reception = reception_dep,
    ) -> dict[str, Any]:
        return await _receive(reception, upload_id, upload_offset, request, response)

    @part.head(
        "/{upload_id}/content",
        status_code=204,
        name=f"offset_of_{resource.kind}",
        responses=_MISSING,
        description="How many bytes are there: `Upload-Offset`, `Upload-Length`, `Upload-Complete`.",
    )
    def offset(upload_id: UploadId, session: SessionDep, reception: Reception = reception_dep) -> Response:
        upload = uploads.get(session, resource.kind, upload_id)
        return Response(status_code=204, headers=dict(_state(reception, upload)))


async def _receive(
    reception: Reception, upload_id: str, offset: int | None, request: Request, response: Response
) -> dict[str, Any]:
    declared = request.headers.get("content-length")
    length = None if declared is None else int(declared)  # the gate has seen that it is a number
    upload = await reception.receive(upload_id, offset, request.stream(), length)
    response.headers.update(_state(reception, upload))
    response.status_code = 202 if upload.completed_at is None else 200
    return _view(reception, upload)


def _add_reading(part: APIRouter, resource: Resource, view: type[View], reception_dep: Any) -> None:
    """What shows and deletes an upload."""
    noun = resource.kind.noun

    @part.get(
        "/{upload_id}",
        response_model=view,
        name=f"read_{resource.kind}",
        responses=_MISSING,
        description=f"An uploaded {noun}, and what is in it.",
    )
    def read(
        upload_id: UploadId, session: SessionDep, response: Response, reception: Reception = reception_dep
    ) -> dict[str, Any]:
        response.headers["Cache-Control"] = "no-cache"
        return _view(reception, uploads.get(session, resource.kind, upload_id))

    @part.delete(
        "/{upload_id}",
        status_code=204,
        name=f"delete_{resource.kind}",
        dependencies=[ADMINISTERS],
        responses=_MISSING | problem_responses(_409="A job that has not ended names it"),
        description=f"Delete an uploaded {noun}. Jobs that have ended keep their results.",
    )
    def delete(upload_id: UploadId, reception: Reception = reception_dep) -> Response:
        reception.delete(upload_id)
        return Response(status_code=204)


# --- lists ---------------------------------------------------------------------------------------------------------


@router.get("/v1/models", tags=["models"])
def list_models(session: SessionDep, limit: Limit = 100, cursor: Cursor = None) -> Page[ModelItem]:
    """The networks that ship with fewbits, then the tenant's own models, newest first."""
    place = _zoo_place(cursor)
    shipped = list(ZOO.items())[place : place + limit] if place is not None else []
    items = [
        ModelItem(kind="zoo", name=name, description=(make.__doc__ or "").strip().splitlines()[0])
        for name, make in shipped
    ]
    if place is not None and place + len(items) < len(ZOO):
        return Page(items=tuple(items), next_cursor=encode_cursor(place + len(items)))
    before = None if cursor is None or place is not None else _upload_place(cursor)
    room = limit - len(items)
    rows = uploads.page(session, UploadKind.MODEL, limit=room + 1, before=before)
    items += [_model_item(row) for row in rows[:room]]
    if len(rows) <= room:
        return Page(items=tuple(items))
    after = _cursor_behind(rows[room - 1]) if room else encode_cursor(len(ZOO))
    return Page(items=tuple(items), next_cursor=after)


@router.get("/v1/datasets", tags=["datasets"])
def list_datasets(session: SessionDep, limit: Limit = 100, cursor: Cursor = None) -> Page[DatasetItem]:
    """The tenant's data sets, newest first."""
    before = None if cursor is None else _upload_place(cursor)
    rows = uploads.page(session, UploadKind.DATA, limit=limit + 1, before=before)
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(
        items=tuple(_dataset_item(row) for row in shown),
        next_cursor=_cursor_behind(shown[-1]) if more else None,
    )


def _zoo_place(cursor: str | None) -> int | None:
    """Where in the list of shipped networks a page begins; None if it begins behind them."""
    if cursor is None:
        return 0
    values = decode_cursor(cursor)
    if len(values) == 1 and type(values[0]) is int and 0 <= values[0] <= len(ZOO):
        return int(values[0])
    return None


def _upload_place(cursor: str) -> tuple[datetime, str]:
    moment, upload_id = decode_cursor(cursor, str, str)
    try:
        return datetime.fromisoformat(moment), upload_id.replace("\0", "")
    except ValueError:
        raise InvalidParameter("cursor", "is not the next_cursor of a page") from None


def _cursor_behind(upload: Upload) -> str:
    return encode_cursor(upload.created_at.isoformat(), upload.id)


def _model_item(upload: Upload) -> ModelItem:
    details = upload.details or {}
    layers, parameters = len(details.get("layers", ())), details.get("parameters")
    told = f"{upload.format}, {layers} layers, {parameters} parameters" if details else "not complete yet"
    return ModelItem(
        kind="uploaded",
        name=upload.name,
        description=told,
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
