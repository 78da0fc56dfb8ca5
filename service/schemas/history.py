"""Responses about how a job went: attempts of workers, choices of trials, workers and queue."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from search.history import AttemptOutcome
from service.schemas.jobs import View

Label = str | float | int | bool | None


class AttemptsView(View):
    """Every attempt of a worker at a trial of a job, in order of their starts, as columns of equal length."""

    job_id: str
    version: int
    compute_s: float = Field(description="seconds from start to end of all attempts that have ended")
    trial: tuple[int, ...]
    attempt: tuple[int, ...]
    worker: tuple[str, ...]
    started_s: tuple[float, ...] = Field(description="seconds after the job's creation")
    ended_s: tuple[float | None, ...] = Field(description="null: it is running")
    outcome: tuple[AttemptOutcome | None, ...]
    reason: tuple[str | None, ...]


class ChoiceColumnView(View):
    """One choice of the oracle in the named trials: `codes` are indexes into `labels`, -1 where a trial has none."""

    name: str
    labels: tuple[Label, ...]
    bits: tuple[int | None, ...] = Field(description="bits of each label; null: it is no quantizer")
    codes: tuple[int, ...]


class ChoicesView(View):
    """What the oracle chose in trials of a job: one column for each choice."""

    job_id: str
    version: int
    number: tuple[int, ...]
    choices: tuple[ChoiceColumnView, ...]


class TensorHistogramView(View):
    """How often each level occurs in a tensor; above 64 levels, `levels` are the middles of ranges of equal width."""

    layer: str
    slot: str
    size: int = Field(description="number of weights")
    distinct: int = Field(description="number of different integers")
    levels: tuple[int, ...]
    counts: tuple[int, ...]
    smallest_scale: float = Field(description="a weight is its integer times the scale of its channel")
    largest_scale: float


class WeightsView(View):
    """Histograms of a trial's integer weights."""

    job_id: str
    number: int
    tensors: tuple[TensorHistogramView, ...]


class WorkerView(View):
    """A live worker process."""

    name: str
    started_at: datetime
    seen_at: datetime
    job_id: str | None = Field(None, description="of the trial that it runs; null: none, or another tenant's")
    trial: int | None = None
    since: datetime | None = Field(None, description="when it started this trial")
    slots: int | None = Field(
        None, description="trials that it trains at once; null: it is one of the processes that do"
    )
    cores: int | None = Field(None, description="for each of them, as memory")
    memory_mb: int | None = None
    accelerators: int | None = None
    extras: tuple[str, ...] | None = None


class WaitingJobView(View):
    """A job of the caller's tenant that has not ended, and its trials in the queue."""

    job_id: str
    name: str
    status: str
    priority: int
    parallel_trials: int
    queued: int
    running: int
    created_at: datetime


class QueueView(View):
    """Live workers, and the jobs whose trials they run next: by priority, then by age."""

    worker: str = Field(description='"ok", or why trials do not begin')
    workers: tuple[WorkerView, ...]
    jobs: tuple[WaitingJobView, ...]
