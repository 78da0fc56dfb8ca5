"""How long trials took, as a guide to how long new ones will."""

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

#: Jobs and trials looked at, the newest ones.
_JOBS: Final = 20
_TRIALS: Final = 200


@dataclass(frozen=True, slots=True)
class Pace:
    """What a trial of a model takes: for each epoch, and once, in seconds; medians of `trials` trials."""

    epoch_s: float
    once_s: float
    trials: int
    same_data: bool  #: whether they were trained on the data of the new job, as it splits them

    def trial_s(self, epochs: int) -> float:
        """A trial of so many epochs, of all its executions together."""
        return self.once_s + epochs * self.epoch_s


def pace(session: Session, spec: Mapping[str, Any]) -> Pace | None:
    """The pace of earlier trials of the specification's model, on the same data if there are such; None if there are
    none.
    """
    known = select(Job).where(Job.model_key == jobs.model_key(spec))
    found = {job.id: job for job in session.scalars(known.order_by(Job.created_at.desc()).limit(_JOBS))}
    alike = [job_id for job_id, job in found.items() if job.spec["data"] == spec["data"]]
    for job_ids, same_data in ((alike, True), (list(found), False)):
        spent = [each for job_id in job_ids for each in _spent(session, found[job_id])]
        if spent:
            epochs, once = zip(*spent, strict=True)
            return Pace(median(epochs), median(once), len(spent), same_data)
    return None


def _spent(session: Session, job: Job) -> list[tuple[float, float]]:
    """Seconds of each measured trial: for an epoch, and besides its epochs."""
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
