"""The final training of a trial."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from search.results.final_training import FinalStatus
from search.spec.distillation import Distillation
from service.schemas.jobs import TestLookView, View


class FinalView(View):
    """The final training of a trial: more epochs, then evaluation. It does not change the trial's own results."""

    job_id: str
    number: int = Field(description="number of the trial")
    status: FinalStatus
    reason: str | None
    epochs: int = Field(description="epochs to train, starting from the trial's best one")
    distill: Distillation | None = Field(
        None, description="how it learns from the float model; null: as the job's trials"
    )
    epochs_done: int
    metric: float | None = Field(description="on the validation data, at the best epoch")
    loss: float | None
    test_metric: float | None = Field(description="on the test data")
    test_loss: float | None
    test_look: TestLookView | None = Field(None, description="which look at the job's test data this was")
    best_epoch: int | None = Field(description="counted from the trial's first epoch, from 0")
    durations_s: dict[str, float]
    versions: dict[str, str]
    attempt: int
    worker: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
