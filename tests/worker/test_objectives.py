"""Jobs with other objectives than accuracy, from the queue to the report: numbers as targets, several executions."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from search.history import EpochReport, JobStatus, TrialStatus
from service.store import claims, jobs, trials
from service.store.models import Trial
from service.views import jobs as job_views
from service.views.trials import trial_view
from tests.worker.conftest import Bench
from worker.sweep import sweep


def regression(**changes: Any) -> dict[str, Any]:
    """Three trials on the diabetes data."""
    return {
        "model": "diabetes_mlp",
        "data": {"kind": "diabetes", "target_scaling": "standard"},
        "objective": "mae",
        "training": {"epochs": 2, "batch_size": 32, "learning_rate": 0.01},
        "budget": {"trials": 3},
    } | changes


def rows(bench: Bench, job_id: str) -> list[Trial]:
    with bench.database.reading() as session:
        return trials.page(session, job_id, limit=100)


def report(bench: Bench, trial: Trial) -> dict[str, Any]:
    with bench.database.reading() as session:
        row = trials.artifact(session, trial, "report.json")
    document: dict[str, Any] = json.loads(bench.runtime.blobs.path(row.sha256).read_text())
    return document


def test_a_regression_runs_to_its_report_and_the_best_has_the_best_score_not_the_largest_error(
    bench: Bench,
) -> None:
    job_id = bench.submit(**regression(goal={"kind": "energy", "delta_p": 0, "delta_n": 0}))
    bench.work()
    measured = rows(bench, job_id)
    with bench.database.reading() as session:
        job = jobs.get(session, job_id)
        ranked, front = job_views.best(session, job, 3), job_views.front(session, job)
        [summary] = job_views.summaries(session, [job], ("best_metric", "metric_name"))
    errors = {trial.number: trial.metric or 0.0 for trial in measured}
    assert (job.status, job.best_trial) == (JobStatus.DONE, min(errors, key=lambda number: errors[number]))
    assert [point.metric for point in ranked] == sorted(errors.values())
    assert ranked[0].score == -ranked[0].metric
    assert front[-1].metric == min(errors.values())
    assert summary == {"best_metric": min(errors.values()), "metric_name": "mae"}
    best = report(bench, measured[job.best_trial or 0])
    assert 0 < best["test"]["metric"] < 2


def test_executions_are_stored_with_their_spread_and_count_against_the_epochs(bench: Bench) -> None:
    training = {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "executions": 2}
    job_id = bench.submit(**regression(training=training, budget={"trials": 3, "epochs": 9}))
    bench.work()
    measured = rows(bench, job_id)
    assert [(trial.status, trial.epochs_done) for trial in measured] == [("done", 4), ("done", 4)]
    for trial in measured:
        with bench.database.reading() as session:
            view = trial_view(
                trial,
                lambda metric, _: metric,
                epochs=trials.epochs(session, trial),
                layers=[],
                files=[],
                attempts=[],
            )
        metrics = [execution.metric for execution in view.executions]
        assert trial.metric == pytest.approx(sum(metrics) / 2)
        assert [execution.metric for execution in view.executions if execution.selected] == [min(metrics)]
        assert view.spread is not None
        assert (view.spread.min, view.spread.max) == (min(metrics), max(metrics))
        assert [epoch.epoch for epoch in view.epochs] == [0, 1, 2, 3]
        written = report(bench, trial)
        assert written["executions"][written["kept_execution"]]["metric"] == min(metrics)


def test_a_trial_whose_worker_died_in_its_second_execution_gives_what_it_would_have_given(
    bench: Bench,
) -> None:
    training = {"epochs": 1, "batch_size": 64, "learning_rate": 0.01, "executions": 2}
    job_id = bench.submit(**regression(training=training, budget={"trials": 1}))
    bench.work()
    [undisturbed] = rows(bench, job_id)
    other = bench.submit(**regression(training=training, budget={"trials": 1}))
    bench.step()
    dead = timedelta(seconds=-1)
    with bench.database.transaction() as session:
        claim = claims.claim_next(
            session, trials.get(session, other, 0).id, worker="elsewhere/1/0", lease=dead
        )
        assert claim is not None
        claims.add_epochs(session, claim, [EpochReport(0, {"val_mae": 0.1}, 0.1)], dead)
    sweep(bench.runtime)
    bench.work()
    [again] = rows(bench, other)
    assert (again.attempt, again.status, again.epochs_done) == (2, TrialStatus.DONE, 2)
    assert (again.metric, again.executions) == (undisturbed.metric, undisturbed.executions)


def test_median_stopping_gives_up_the_larger_error(bench: Bench) -> None:
    job_id = bench.submit(
        **regression(
            stopping={"kind": "median", "grace_epochs": 1, "min_trials": 1},
            training={"epochs": 3, "batch_size": 32, "learning_rate": {"choices": [1e-5, 1e-2]}},
            budget={"trials": 6},
        )
    )
    bench.work()
    measured = rows(bench, job_id)
    given_up = [trial for trial in measured if trial.status == TrialStatus.PRUNED]
    assert given_up
    for trial in given_up:
        assert trial.proof is not None
        assert trial.proof["metric"] > trial.proof["metric_needed"]
        assert "is above the" in (trial.reason or "")
    assert {trial.assignment["learning_rate"] for trial in measured} == {1e-5, 1e-2}
