"""The measured trials of a job with their choices, for analyses and rankings."""

from __future__ import annotations

import numpy as np
from pydantic_core import from_json
from sqlalchemy import Text, cast, select
from sqlalchemy.orm import Session

from search.history import Assignment, TrialStatus
from search.results.analysis import AnalysedTrials
from search.scoring.forgiving_factor import ForgivingFactor
from search.scoring.vectorized import merits
from service.store.models import Job, Trial
from service.store.reading import seconds_since, transposed, unzoned


def analysed_trials(session: Session, job: Job, factor: ForgivingFactor) -> AnalysedTrials:
    """The measured trials of the job, by number."""
    c = Trial.__table__.c
    rows = session.connection().execute(
        select(c.number, c.metric, c.cost, unzoned(c.finished_at), cast(c.assignment["values"], Text))
        .where(c.job_id == job.id, c.status == TrialStatus.DONE)
        .where(c.metric.is_not(None), c.cost.is_not(None))
        .order_by(c.number)
    )
    numbers, metrics, costs, moments, texts = transposed(rows.all(), 5)
    return AnalysedTrials(
        number=np.array(numbers, dtype=np.int64),
        merit=merits(np.array(metrics, dtype=np.float64), factor),
        cost=np.array(costs, dtype=np.float64),
        values=from_json(f"[{','.join(texts)}]"),
        at_s=None if job.started_at is None else seconds_since(job.started_at, moments),
    )


def assignments(session: Session, job_id: str) -> list[tuple[int, Assignment, float]]:
    """Number, assignment and metric of the measured trials of the job, by number."""
    rows = session.execute(
        select(Trial.number, Trial.assignment, Trial.metric)
        .where(Trial.job_id == job_id, Trial.status == TrialStatus.DONE, Trial.metric.is_not(None))
        .order_by(Trial.number)
    )
    return [(number, Assignment.from_json(assignment), metric) for number, assignment, metric in rows]
