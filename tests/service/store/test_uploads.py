"""Uploads in SQL, on both databases: order, locks, who names what."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from search.history import JobStatus
from service.errors import Conflict, InvalidRequest, UploadInUse, UploadNotFound
from service.store import jobs, uploads
from service.store.jobs import NewJob
from service.store.models import DiscardedBlob, now
from service.store.session import Database
from service.store.upload_models import Upload
from service.store.uploads import Content, NewUpload, UploadKind

SHA = "ab" * 32


def add(
    database: Database, kind: UploadKind = UploadKind.MODEL, name: str = "mine", *, whole: bool = True
) -> str:
    with database.transaction() as session:
        upload = uploads.create(session, NewUpload(kind, name, 10, None))
        if whole:
            uploads.complete(session, kind, upload.id, Content(SHA, 10, "keras", {"layers": []}))
    return upload.id


def job(database: Database, **named: Any) -> str:
    with database.transaction() as session:
        spec = {"model": {"kind": "zoo", "name": "jet_mlp"}, "data": {"kind": "digits"}} | named
        new = NewJob("", spec, "energy_pj", 1.0, {"energy_pj": 1.0}, "1", ())
        return jobs.create(session, new).id


def test_uploads_of_a_kind_come_newest_first_in_pages(database: Database) -> None:
    ids = [add(database, name=str(index)) for index in range(5)]
    add(database, UploadKind.DATA)
    with database.reading() as session:
        first = uploads.page(session, UploadKind.MODEL, limit=3)
        last = first[-1]
        rest = uploads.page(session, UploadKind.MODEL, limit=3, before=(last.created_at, last.id))
    assert [row.id for row in [*first, *rest]] == ids[::-1]


def test_an_upload_that_a_job_names_cannot_go_until_the_job_ends(database: Database) -> None:
    upload_id = add(database)
    job_id = job(database, model={"kind": "uploaded", "id": upload_id})
    other = add(database, UploadKind.DATA)
    job(database, data={"kind": "uploaded", "id": "0" * 16})
    with database.transaction() as session:
        with pytest.raises(UploadInUse, match=job_id):
            uploads.remove(session, UploadKind.MODEL, upload_id)
        uploads.remove(session, UploadKind.DATA, other)
    with database.transaction() as session:
        jobs.end(session, job_id, JobStatus.FAILED, "enough")
        uploads.remove(session, UploadKind.MODEL, upload_id)
    with database.reading() as session:
        assert session.scalars(select(DiscardedBlob.sha256)).all() == [SHA]
        with pytest.raises(UploadNotFound):
            uploads.get(session, UploadKind.MODEL, upload_id)


def test_a_job_cannot_hold_what_is_gone(database: Database) -> None:
    with database.transaction() as session, pytest.raises(InvalidRequest) as refused:
        uploads.lock_inputs(
            session, {"model": {"kind": "uploaded", "id": "0" * 16}, "data": {"kind": "digits"}}
        )
    assert refused.value.problems[0].pointer == "/model/id"


def test_what_is_complete_takes_no_more_bytes(database: Database) -> None:
    upload_id = add(database)
    with database.transaction() as session, pytest.raises(Conflict):
        uploads.touch(session, UploadKind.MODEL, upload_id)


def test_equal_content_is_found_by_its_owner_only(database: Database) -> None:
    add(database.for_tenant("acme"))
    new = NewUpload(UploadKind.MODEL, "again", 10, SHA)
    for tenant, is_seen in (("acme", True), ("rival", False)):
        with database.for_tenant(tenant).reading() as session:
            assert (uploads.find_complete(session, new) is not None) is is_seen
    with database.for_tenant("acme").reading() as session:
        assert uploads.find_complete(session, NewUpload(UploadKind.DATA, "again", 10, SHA)) is None
        assert uploads.find_complete(session, NewUpload(UploadKind.MODEL, "again", 11, SHA)) is None


def test_only_what_is_incomplete_and_silent_is_forgotten(database: Database) -> None:
    whole, half, late = add(database), add(database, whole=False), add(database, whole=False)
    with database.transaction() as session:
        for upload_id in (whole, half):
            uploads.get(session, UploadKind.MODEL, upload_id).touched_at = now() - timedelta(days=2)
    with database.transaction() as session:
        uploads.remove_stale(session, now() - timedelta(days=1))
    with database.reading() as session:
        assert set(session.scalars(select(Upload.id))) == {whole, late}
