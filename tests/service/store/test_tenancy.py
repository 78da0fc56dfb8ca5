"""A session of a tenant sees, changes and makes rows of that tenant only."""

from __future__ import annotations

import pytest
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import aliased

from service.errors import JobNotFound
from service.store import jobs
from service.store.jobs import NewJob
from service.store.models import Job
from service.store.session import Database

NEW = NewJob(
    name="a job",
    spec={"model": "digits_cnn", "budget": {"trials": 1}},
    cost_unit="energy_pj",
    reference_cost=1.0,
    reference={},
    space_size="1",
    warnings=(),
)


def stored(database: Database) -> str:
    with database.transaction() as session:
        return jobs.create(session, NEW).id


@pytest.fixture
def ours(database: Database) -> Database:
    return database.for_tenant("ours")


@pytest.fixture
def theirs(database: Database) -> Database:
    return database.for_tenant("theirs")


def test_a_job_belongs_to_the_tenant_of_the_session_that_made_it(database: Database, ours: Database) -> None:
    job_id = stored(ours)
    with database.reading() as session:
        assert jobs.get(session, job_id).tenant == "ours"


def test_a_job_made_without_a_tenant_is_the_local_one_s(database: Database) -> None:
    job_id = stored(database)
    with database.for_tenant("local").reading() as session:
        assert jobs.get(session, job_id).id == job_id


def test_every_kind_of_query_sees_own_rows_only(ours: Database, theirs: Database) -> None:
    mine, other = stored(ours), stored(theirs)
    with ours.reading() as session:
        assert [job.id for job in session.scalars(select(Job))] == [mine]
        assert session.get(Job, other) is None
        assert session.scalar(select(func.count()).select_from(Job)) == 1
        assert session.scalars(select(Job.id)).all() == [mine]
        second = aliased(Job)
        assert session.scalars(select(second.id)).all() == [mine]
        assert session.scalar(select(Job.version).where(Job.id == other)) is None
        with pytest.raises(JobNotFound):
            jobs.get(session, other)


def test_a_row_of_another_tenant_is_neither_changed_nor_deleted(ours: Database, theirs: Database) -> None:
    other = stored(theirs)
    with ours.transaction() as session:
        session.execute(update(Job).values(name="taken"))
        session.execute(delete(Job))
    with theirs.reading() as session:
        assert jobs.get(session, other).name == "a job"


def test_a_row_cannot_be_made_for_another_tenant(ours: Database, theirs: Database) -> None:
    job_id = stored(theirs)
    with theirs.reading() as session:
        row = jobs.get(session, job_id)
        values = {column.key: getattr(row, column.key) for column in Job.__table__.columns}
    with ours.transaction() as session:
        session.add(Job(**(values | {"id": "f" * 16, "tenant": "theirs"})))
    with ours.reading() as session:
        assert jobs.get(session, "f" * 16).tenant == "ours"
