"""How long past trials took: an estimate for new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from search.history import TrialStatus
from service.store import jobs
from service.store.models import Job, Trial

#: The newest jobs, and the newest trials of each, that are read.
_JOBS: Final = 20
_TRIALS: Final = 200


@dataclass(frozen=True, slots=True)
class TrialPace:
    """Seconds that a trial of a model takes for each epoch, and once; medians of `trials` trials."""

    epoch_s: float
    once_s: float
    trials: int
    same_data: bool  #: whether they were trained on the data of the new job, split as there

    def trial_s(self, epochs: int) -> float:
        """Seconds of a trial of `epochs` epochs, those of all its executions together."""
        return self.once_s + epochs * self.epoch_s


def pace(session: Session, spec: Mapping[str, Any]) -> TrialPace | None:
    """The pace of past trials of the specification's model, on the same data if possible; None without past trials."""
    newest = select(Job).where(Job.model_key == jobs.model_key(spec)).order_by(Job.created_at.desc())
    past_jobs = session.scalars(newest.limit(_JOBS)).all()
    on_same_data = [job for job in past_jobs if job.spec["data"] == spec["data"]]
    for chosen, same_data in ((on_same_data, True), (past_jobs, False)):
        seconds = [pair for job in chosen for pair in _seconds(session, job)]
        if seconds:
            epochs, once = zip(*seconds, strict=True)
            return TrialPace(median(epochs), median(once), len(seconds), same_data)
    return None


def _seconds(session: Session, job: Job) -> list[tuple[float, float]]:
    """Seconds of each measured trial: for each epoch, and once besides its epochs."""
    rows = session.execute(
        select(Trial.durations_s, Trial.epochs, Trial.initial_epoch)
        .where(Trial.job_id == job.id, Trial.status == TrialStatus.DONE, Trial.durations_s.is_not(None))
        .order_by(Trial.number.desc())
        .limit(_TRIALS)
    )
    training = job.spec["training"]
    return [
        (
            durations.get("train", 0.0)
            / max(((epochs or training["epochs"]) - initial) * training.get("executions", 1), 1),
            sum(seconds for step, seconds in durations.items() if step != "train"),
        )
        for durations, epochs, initial in rows
    ]
