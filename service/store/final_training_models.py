"""The tables of final trainings, one a trial, and of looks at the test data."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from service.store.models import Base, Queued


class FinalTraining(Queued, Base):
    """A chosen trial trained on for more epochs. What the search measured stays in `trials`."""

    __tablename__ = "final_trainings"
    __table_args__ = (Index(None, "status"),)

    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"), primary_key=True)
    epochs: Mapped[int]  #: to train on from the trial's best one
    distill: Mapped[dict[str, Any] | None]  #: Distillation; NULL: as the job's trials
    best_epoch: Mapped[int | None]  #: counted from the trial's first
    metric: Mapped[float | None]  #: on the validation data
    loss: Mapped[float | None]
    test_metric: Mapped[float | None]
    test_loss: Mapped[float | None]
    durations_s: Mapped[dict[str, Any] | None]
    versions: Mapped[dict[str, Any] | None]


class TestLook(Base):
    """One look at the test data of a job: see `search.results.test_looks`."""

    __tablename__ = "test_looks"
    __test__ = False  # not a test, whatever its name says to pytest

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)  #: counts the looks at a job's test data, from 1
    trial: Mapped[int]  #: its number
    kind: Mapped[str]  #: LookKind
    optimistic: Mapped[bool]  #: the trial may have been chosen by an earlier look
    metric: Mapped[float | None]  #: NULL: stored by a version that did not count looks
    created_at: Mapped[datetime | None]
