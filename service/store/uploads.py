"""Uploads in SQL: declared, completed, listed, used by jobs, removed. Callers pass the session and commit."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import Select, delete, or_, select
from sqlalchemy.orm import Session

from search.errors import Problem
from search.history import JOB_ENDED
from service.errors import Conflict, InvalidRequest, UploadInUse, UploadNotFound
from service.store.deferred_deletes import discard
from service.store.models import Job, now
from service.store.upload_models import Upload


class UploadKind(StrEnum):
    """What an upload is; also the field of a job that may refer to it."""

    MODEL = "model"
    DATA = "data"

    @property
    def noun(self) -> str:
        """For messages."""
        return "model" if self is UploadKind.MODEL else "data set"


@dataclass(frozen=True, slots=True)
class NewUpload:
    """What a user declares of a file before its bytes arrive."""

    kind: UploadKind
    name: str
    size_bytes: int
    sha256: str | None
    conversion: Mapping[str, Any] | None = None  #: how a table or images are read


@dataclass(frozen=True, slots=True)
class Content:
    """What an upload holds once it is complete; converted, it is not what was sent."""

    sha256: str
    size_bytes: int
    format: str
    details: Mapping[str, Any]


def create(session: Session, new: NewUpload) -> Upload:
    """Store an upload that has no bytes yet."""
    upload = Upload(
        id=secrets.token_hex(8),
        kind=new.kind,
        name=new.name,
        size_bytes=new.size_bytes,
        sha256=new.sha256,
        details=None if new.conversion is None else {"conversion": dict(new.conversion)},
        created_at=now(),
        touched_at=now(),
    )
    session.add(upload)
    session.flush()
    return upload


def find_complete(session: Session, new: NewUpload) -> Upload | None:
    """A complete upload of the session's tenant with the declared SHA-256; None if there is none, or none declared."""
    if new.sha256 is None:
        return None
    return session.scalars(
        select(Upload)
        .where(
            Upload.kind == new.kind,
            Upload.sha256 == new.sha256,
            Upload.size_bytes == new.size_bytes,
            Upload.completed_at.is_not(None),
        )
        .order_by(Upload.created_at)
        .limit(1)
    ).first()


def get(session: Session, kind: UploadKind, upload_id: str) -> Upload:
    """The upload; UploadNotFound."""
    upload = session.scalars(select(Upload).where(Upload.id == upload_id, Upload.kind == kind)).first()
    if upload is None:
        raise UploadNotFound(f"no uploaded {kind.noun} has the id {upload_id!r}")
    return upload


def page(
    session: Session, kind: UploadKind, *, limit: int, before: tuple[datetime, str] | None = None
) -> list[Upload]:
    """Uploads of a kind, newest first; `before`: (created_at, id) of the last one of the page before."""
    query = select(Upload).where(Upload.kind == kind)
    if before is not None:
        moment, upload_id = before
        query = query.where(
            or_(Upload.created_at < moment, (Upload.created_at == moment) & (Upload.id < upload_id))
        )
    return list(session.scalars(query.order_by(Upload.created_at.desc(), Upload.id.desc()).limit(limit)))


def touch(session: Session, kind: UploadKind, upload_id: str) -> Upload:
    """Note that a part of an incomplete upload arrived. Conflict if it is complete, UploadNotFound."""
    upload = _locked(session, kind, upload_id)
    if upload.completed_at is not None:
        raise Conflict(f"the {kind.noun} {upload_id} is complete; create a new upload for other content")
    upload.touched_at = now()
    return upload


def complete(session: Session, kind: UploadKind, upload_id: str, content: Content) -> Upload:
    """Complete an upload whose content is stored. Conflict and UploadNotFound as `touch`."""
    upload = touch(session, kind, upload_id)
    upload.sha256, upload.format, upload.details = content.sha256, content.format, dict(content.details)
    upload.size_bytes = content.size_bytes
    upload.completed_at = now()
    return upload


def remove(session: Session, kind: UploadKind, upload_id: str) -> None:
    """Delete an upload. UploadInUse while a job that has not ended uses it, UploadNotFound."""
    upload = _locked(session, kind, upload_id)
    users = _users(session, kind, upload_id)
    if users:
        raise UploadInUse(
            f"the {kind.noun} {upload_id} is used by jobs that have not ended: {', '.join(users)}"
        )
    if upload.completed_at is not None:
        content = cast("Select[tuple[str]]", select(Upload.sha256).where(Upload.id == upload_id))
        discard(session, content)
    session.delete(upload)
    session.flush()


def remove_stale(session: Session, before: datetime) -> None:
    """Delete incomplete uploads, of all tenants, that received nothing since `before`."""
    session.execute(delete(Upload).where(Upload.completed_at.is_(None), Upload.touched_at < before))


def lock_inputs(session: Session, spec: Mapping[str, Any]) -> None:
    """Lock the uploads that a job uses until the transaction ends, and the job itself keeps them from being removed.

    InvalidRequest if one is gone.
    """
    for kind, upload_id in inputs(spec):
        try:
            _locked(session, kind, upload_id)
        except UploadNotFound as error:
            raise InvalidRequest([Problem(f"/{kind}/id", error.detail)]) from None


def inputs(spec: Mapping[str, Any]) -> Sequence[tuple[UploadKind, str]]:
    """The uploads that a job's specification uses."""
    fields = [(kind, spec.get(kind.value)) for kind in UploadKind]
    return [
        (kind, field["id"])
        for kind, field in fields
        if isinstance(field, Mapping) and field.get("kind") == "uploaded"
    ]


def _locked(session: Session, kind: UploadKind, upload_id: str) -> Upload:
    upload = get(session, kind, upload_id)
    session.refresh(upload, with_for_update=True)
    return upload


def _users(session: Session, kind: UploadKind, upload_id: str) -> list[str]:
    """Ids of the jobs that have not ended and use the upload; at most five."""
    query = select(Job.id).where(
        Job.status.not_in(JOB_ENDED),
        Job.spec[kind.value]["kind"].as_string() == "uploaded",
        Job.spec[kind.value]["id"].as_string() == upload_id,
    )
    return list(session.scalars(query.limit(5)))
