"""The table of final trainings: one a trial, beside what the search measured of it."""

from __future__ import annotations

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
    best_epoch: Mapped[int | None]  #: counted from the trial's first
    metric: Mapped[float | None]  #: on the validation data
    loss: Mapped[float | None]
    test_metric: Mapped[float | None]
    test_loss: Mapped[float | None]
    durations_s: Mapped[dict[str, Any] | None]
    versions: Mapped[dict[str, Any] | None]
