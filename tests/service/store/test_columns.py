"""Columns of trials are what the rows have, read without making rows of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from search.scoring.forgiving_factor import ForgivingFactor
from service.api.points import FIELDS, point_columns
from service.store import analysis, jobs, reading
from service.store.blobs import BlobStore
from service.store.models import Job, Trial
from service.store.session import Database
from tests.service.filled import JOB, Filled, Filler

FACTOR = ForgivingFactor(8.0, 8.0, 2.0, 1.0)
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def filled(database: Database, tmp_path: Path) -> Filled:
    """A job with six measured trials, whose names of layers need escapes, a failed one and one in the queue."""
    filler = Filler(database, BlobStore(tmp_path / "blobs"), tmp_path)
    job = filler.job(JOB | {"name": 'ü "quoted"'})
    ids = filler.queue(job, 8)
    for trial_id in ids[:6]:
        filler.measure(job, trial_id)
    filler.fail(ids[6], "loss became NaN")
    with database.transaction() as session:
        assignment = session.scalars(select(Trial.assignment).where(Trial.number == 2)).one()
        odd = assignment | {
            "values": assignment["values"] | {'é"\\': "a'b", "width": 0.5, "count": 3, "is": True}
        }
        session.execute(update(Trial).where(Trial.number == 2).values(assignment=odd))
        session.execute(
            update(Trial)
            .where(Trial.number < 6)
            .values(finished_at=datetime(2026, 3, 4, 5, 6, 7, 890123, timezone(timedelta(hours=5))))
        )
    return job


def test_analysed_trials_are_the_rows(database: Database, filled: Filled) -> None:
    with database.reading() as session:
        job = jobs.get(session, filled.job_id)
        trials = analysis.analysed_trials(session, job, FACTOR)
        rows = session.scalars(select(Trial).where(Trial.metric.is_not(None)).order_by(Trial.number)).all()
        assert trials.number.tolist() == [row.number for row in rows] == list(range(6))
        assert trials.merit.tolist() == [row.metric for row in rows]
        assert trials.cost.tolist() == [row.cost for row in rows]
        assert trials.values == [row.assignment["values"] for row in rows]
        assert job.started_at is not None
        assert trials.at_s is not None
        assert trials.at_s.tolist() == [
            row.finished_at is not None and (row.finished_at - job.started_at).total_seconds() for row in rows
        ]


@pytest.mark.parametrize("names", [FIELDS, ("finished_s", "bits"), ("score",), ("front", "number")])
def test_columns_of_some_trials_are_a_part_of_all(
    database: Database, filled: Filled, names: tuple[str, ...]
) -> None:
    with database.reading() as session:
        job = jobs.get(session, filled.job_id)
        everything = point_columns(session, job, names)
        for numbers in ([], [3], [2, 6], list(range(8))):
            some = point_columns(session, job, names, numbers)
            assert list(some) == list(names)
            for name in names:
                assert repr(some[name]) == repr([everything[name][number] for number in numbers])


def test_a_job_without_trials_has_empty_columns(database: Database, tmp_path: Path) -> None:
    job_id = Filler(database, BlobStore(tmp_path / "blobs"), tmp_path).job().job_id
    with database.reading() as session:
        job = session.scalars(select(Job)).one()
        assert analysis.analysed_trials(session, job, FACTOR).values == []
        assert reading.measured_columns(session, job_id) == [()] * 5


zones = st.integers(-14, 14).map(lambda hours: timezone(timedelta(hours=hours)))
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=zones)


@given(moments, st.lists(st.none() | moments))
def test_seconds_are_those_between_two_times_as_text_or_not(start: datetime, ends: list[Any]) -> None:
    passed = [np.nan if end is None else (end - start).total_seconds() for end in ends]
    np.testing.assert_array_equal(reading.seconds_since(start, ends), passed)
    texts = [None if end is None else str(end.astimezone(UTC).replace(tzinfo=None)) for end in ends]
    np.testing.assert_array_equal(reading.seconds_since(start, texts), passed)
