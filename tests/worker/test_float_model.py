"""The float model: trained once a recipe, started from, compared with."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.data import Dataset
from search.history import JobStatus, TrialStatus
from search.plan import Plan
from search.training.request import Reporter
from service.store import jobs, trials
from tests.worker.conftest import Bench
from worker import float_model


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders of float models trained during the test."""
    folders: list[Path] = []
    write = float_model.write_float

    def counted(plan: Plan, data: Dataset, reporter: Reporter, folder: Path) -> float:
        folders.append(folder)
        return write(plan, data, reporter, folder)

    monkeypatch.setattr(float_model, "write_float", counted)
    return folders


def metrics(bench: Bench, job_id: str) -> list[float | None]:
    with bench.database.reading() as session:
        return [trial.metric for trial in trials.page(session, job_id, limit=100)]


def test_trials_that_start_from_the_float_model_are_better_after_one_epoch(
    bench: Bench, trainings: list[Path]
) -> None:
    training = {"epochs": 1, "batch_size": 64, "learning_rate": 0.005}
    limits = {"by_class": {"Dense": {"kernel": ["quantized_bits(8,0,1,alpha=1.0)"], "bias": 8}}}
    jobs_of = [
        bench.submit(training=training | {"start": start}, limits=limits) for start in ("scratch", "float")
    ]
    bench.work()
    scratch, started = (metrics(bench, job_id) for job_id in jobs_of)
    assert sum(metric or 0 for metric in started) > sum(metric or 0 for metric in scratch)
    assert len(trainings) == 1


def test_jobs_of_one_recipe_share_the_float_model(bench: Bench, trainings: list[Path]) -> None:
    for trial_seed in (1, 1):
        bench.submit(training={"epochs": 1, "batch_size": 64, "start": "float"}, seed=trial_seed)
    bench.work()
    assert len(trainings) == 1


def test_a_job_that_needs_no_float_model_trains_none(bench: Bench, trainings: list[Path]) -> None:
    bench.submit()
    bench.work()
    assert trainings == []


def test_a_drop_below_the_float_model_s_metric_is_infeasible(bench: Bench) -> None:
    training = {"epochs": 3, "batch_size": 16, "learning_rate": 0.01}
    limits = {"by_class": {"Dense": [1, 8, 1], "Activation": [1]}}
    job_id = bench.submit(constraints={"max_metric_drop": 0.0}, training=training, limits=limits)
    bench.work()
    with bench.database.reading() as session:
        job = jobs.get(session, job_id)
        rows = trials.page(session, job_id, limit=100)
    assert job.float_metric is not None
    assert job.status in (JobStatus.FAILED, JobStatus.DONE)
    for trial in rows:
        is_feasible = (trial.metric or 0.0) >= job.float_metric
        assert trial.status == (TrialStatus.DONE if is_feasible else TrialStatus.INFEASIBLE), trial.reason
