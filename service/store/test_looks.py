"""Looks at the test data of a job, in SQL: one row a look, written with the figure that it gave."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from search.results.test_looks import Look, LookKind, next_look
from service.store.final_training_models import TestLook
from service.store.models import now


def add(session: Session, job_id: str, trial: int, kind: LookKind, test: Mapping[str, float]) -> Look:
    """Count a look at the test data. The job must be locked."""
    look = next_look([look_of(row) for row in of_job(session, job_id)], trial, kind)
    session.add(
        TestLook(
            job_id=job_id,
            number=look.number,
            trial=trial,
            kind=kind,
            optimistic=look.optimistic,
            metric=test["metric"],
            created_at=now(),
        )
    )
    return look


def of_job(session: Session, job_id: str) -> list[TestLook]:
    """All looks at the test data of a job, in order."""
    return list(session.scalars(select(TestLook).where(TestLook.job_id == job_id).order_by(TestLook.number)))


def look_of(row: TestLook) -> Look:
    """The row as a value."""
    return Look(row.number, row.trial, LookKind(row.kind), row.optimistic)
