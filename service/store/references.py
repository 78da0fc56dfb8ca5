"""The uploads a job names, looked up: their addresses written into the job, their contents handed to the search.

The search knows neither ids nor blobs. In the API a specification is pinned (ids become addresses) and opened; in a
worker, which trusts what is stored, it is opened only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from search.errors import InvalidSpec, Problem
from search.spec.job import GivenModel, UploadedData, UploadedModel
from search.uploads import UploadFault, read_architecture
from service.errors import InvalidRequest, UploadNotFound
from service.store import uploads
from service.store.blobs import BlobStore
from service.store.session import Database
from service.store.uploads import UploadKind

Spec = TypeVar("Spec", bound=BaseModel)
Named = TypeVar("Named", UploadedModel, UploadedData)


def pinned(spec: Spec, database: Database) -> Spec:
    """The specification with the address of every upload it names. InvalidRequest for one that is not there."""
    problems: list[Problem] = []
    model, data = _parts(spec)
    if isinstance(model, UploadedModel):
        spec = _with(spec, "model", _pinned(model, UploadKind.MODEL, database, problems))
    if isinstance(data, UploadedData):
        spec = _with(spec, "data", _pinned(data, UploadKind.DATA, database, problems))
    if problems:
        raise InvalidRequest(problems)
    return spec


def opened(spec: Spec, blobs: BlobStore) -> Spec:
    """The specification with what was uploaded at hand. InvalidSpec for content that is gone from the blob folder."""
    model, data = _parts(spec)
    if isinstance(model, UploadedModel):
        spec = _with(spec, "model", model.of(_model(_file(blobs, model.sha256, "/model/id"))))
    if isinstance(data, UploadedData):
        spec = _with(spec, "data", data.of(_file(blobs, data.sha256, "/data/id")))
    return spec


def _parts(spec: BaseModel) -> tuple[Any, Any]:
    """Model and data of a specification; None for what it has not."""
    return getattr(spec, "model", None), getattr(spec, "data", None)


def _with(spec: Spec, field: str, value: UploadedModel | UploadedData) -> Spec:
    return spec.model_copy(update={field: value})


def _pinned(named: Named, kind: UploadKind, database: Database, problems: list[Problem]) -> Named:
    try:
        with database.reading() as session:
            upload = uploads.get(session, kind, named.id)
    except UploadNotFound as error:
        problems.append(Problem(f"/{kind}/id", error.detail))
        return named
    if upload.completed_at is None:
        problems.append(
            Problem(f"/{kind}/id", f"the {kind.noun} {named.id} has not been uploaded to its end")
        )
    elif named.sha256 not in (None, upload.sha256):
        problems.append(
            Problem(f"/{kind}/sha256", f"the {kind.noun} {named.id} has the SHA-256 {upload.sha256}")
        )
    return named.model_copy(update={"sha256": upload.sha256})


def _file(blobs: BlobStore, sha256: str | None, pointer: str) -> Path:
    path = blobs.path(sha256) if sha256 else None
    if path is None or not path.is_file():
        raise InvalidSpec([Problem(pointer, "what was uploaded has been deleted since")])
    return path


def _model(path: Path) -> GivenModel:
    """The network out of a model file, checked once more: what was allowed yesterday need not be allowed today."""
    try:
        architecture, has_weights = read_architecture(path)
    except UploadFault as error:
        raise InvalidSpec([Problem("/model/id", f"the uploaded model is refused: {error}")]) from error
    return GivenModel(architecture, path, has_weights)
