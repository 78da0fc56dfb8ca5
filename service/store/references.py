"""Uploads that a job or a cost request names: ids become checksums, checksums become files.

A specification is pinned when the API accepts it, and stored with the checksums. The content is looked up whenever a
plan is made, in the API and in workers; the search itself knows neither ids nor blobs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from search.errors import InvalidSpec, Problem
from search.spec.cost import CostSpec
from search.spec.job import SearchSpec, UploadedData, UploadedModel
from search.spec.resolved import DataFile, ModelFile
from search.uploads import UploadFault, read_architecture
from service.errors import InvalidRequest, UploadNotFound
from service.store import uploads
from service.store.blobs import BlobStore
from service.store.session import Database
from service.store.uploads import UploadKind

Spec = TypeVar("Spec", SearchSpec, CostSpec)
Reference = TypeVar("Reference", UploadedModel, UploadedData)


def pinned(spec: Spec, database: Database) -> Spec:
    """The specification with the SHA-256 of every upload it names. `InvalidRequest` for one that is missing."""
    problems: list[Problem] = []
    changes: dict[str, UploadedModel | UploadedData] = {}
    if isinstance(spec.model, UploadedModel):
        changes["model"] = _pinned(spec.model, UploadKind.MODEL, database, problems)
    if isinstance(spec, SearchSpec) and isinstance(spec.data, UploadedData):
        changes["data"] = _pinned(spec.data, UploadKind.DATA, database, problems)
    if problems:
        raise InvalidRequest(problems)
    return spec.model_copy(update=changes)


def _pinned(reference: Reference, kind: UploadKind, database: Database, problems: list[Problem]) -> Reference:
    try:
        with database.reading() as session:
            upload = uploads.get(session, kind, reference.id)
    except UploadNotFound as error:
        problems.append(Problem(f"/{kind}/id", error.detail))
        return reference
    if upload.completed_at is None:
        problems.append(
            Problem(f"/{kind}/id", f"the upload of the {kind.noun} {reference.id} is not complete")
        )
    elif reference.sha256 not in (None, upload.sha256):
        problems.append(
            Problem(f"/{kind}/sha256", f"the {kind.noun} {reference.id} has the SHA-256 {upload.sha256}")
        )
    return reference.model_copy(update={"sha256": upload.sha256})


@dataclass(frozen=True, slots=True)
class BlobLookup:
    """Finds the content of pinned uploads in the blob store (an `UploadLookup` of the search)."""

    blobs: BlobStore
    missing: str = "the uploaded file has been deleted"

    def find_model(self, model: UploadedModel) -> ModelFile:
        """The model with its file and its architecture. `InvalidSpec` if the file is missing or refused.

        The file is checked again: rules may have become stricter since it was uploaded.
        """
        file = self._file(model.sha256, "/model/id")
        try:
            architecture, has_weights = read_architecture(file)
        except UploadFault as error:
            raise InvalidSpec([Problem("/model/id", f"the uploaded model is refused: {error}")]) from error
        return ModelFile(
            **dict(model),
            file=file,
            architecture=architecture.document,
            has_weights=has_weights,
            notes=architecture.notes,
            saved_names=dict(architecture.saved_names),
        )

    def find_data(self, data: UploadedData) -> DataFile:
        """The data with their file. `InvalidSpec` if it is missing."""
        return DataFile(**dict(data), file=self._file(data.sha256, "/data/id"))

    def _file(self, sha256: str | None, pointer: str) -> Path:
        path = self.blobs.path(sha256) if sha256 else None
        if path is None or not path.is_file():
            raise InvalidSpec([Problem(pointer, self.missing)])
        return path
