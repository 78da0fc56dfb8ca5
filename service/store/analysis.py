"""The measured trials of a job with their choices, for analyses and rankings."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from search.history import Assignment, TrialStatus
from search.results.analysis import AnalysedTrial
from search.scoring.forgiving_factor import ForgivingFactor
from service.store.models import Job, Trial


def analysed_trials(session: Session, job: Job, factor: ForgivingFactor) -> list[AnalysedTrial]:
    """The measured trials of the job, by number."""
    rows = session.execute(
        select(Trial.number, Trial.metric, Trial.cost, Trial.finished_at, Trial.assignment["values"])
        .where(Trial.job_id == job.id, Trial.status == TrialStatus.DONE)
        .where(Trial.metric.is_not(None), Trial.cost.is_not(None))
        .order_by(Trial.number)
    )
    return [
        AnalysedTrial(
            number=number,
            merit=factor.merit(metric),
            cost=cost,
            values=values,
            at_s=None if job.started_at is None else (finished_at - job.started_at).total_seconds(),
        )
        for number, metric, cost, finished_at, values in rows
    ]


def assignments(session: Session, job_id: str) -> list[tuple[int, Assignment, float]]:
    """Number, assignment and metric of the measured trials of the job, by number."""
    rows = session.execute(
        select(Trial.number, Trial.assignment, Trial.metric)
        .where(Trial.job_id == job_id, Trial.status == TrialStatus.DONE, Trial.metric.is_not(None))
        .order_by(Trial.number)
    )
    return [(number, Assignment.from_json(assignment), metric) for number, assignment, metric in rows]
