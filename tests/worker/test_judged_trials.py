"""Trials that are judged before training, given up while training, or go on with another's: through the worker."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import pytest

from search.history import JobStatus, TrialStatus
from service.store import jobs, trials
from service.store.models import Trial
from tests.worker.conftest import Bench

HYPERBAND = {
    "oracle": {"kind": "hyperband", "iterations": 1},
    "training": {"epochs": 3, "batch_size": 64},
    "budget": {"trials": 30},
}


def done(bench: Bench, **changes: Any) -> list[Trial]:
    job_id = bench.submit(**changes)
    bench.work()
    with bench.database.reading() as session:
        return trials.page(session, job_id, limit=1000)


def job(bench: Bench, rows: list[Trial]) -> Any:
    with bench.database.reading() as session:
        return jobs.get(session, rows[0].job_id)


def iterations(bench: Bench, trial: Trial, folder: Path) -> int:
    """Steps the optimizer of a trial's model has taken."""
    with bench.database.reading() as session:
        row = trials.artifact(session, trial, "model.keras")
    path = folder / f"{trial.number}.keras"
    shutil.copyfile(bench.runtime.blobs.path(row.sha256), path)
    return int(keras.models.load_model(path).optimizer.iterations)


def test_trials_that_cost_too_much_are_infeasible_and_cost_no_training_and_no_budget(bench: Bench) -> None:
    free = done(bench, budget={"trials": 8})
    limit = sorted(trial.energy_pj or 0 for trial in free)[3]
    rows = done(bench, budget={"trials": 4}, constraints={"max_energy_pj": limit})
    refused = [trial for trial in rows if trial.status == TrialStatus.INFEASIBLE]
    assert refused
    assert all(trial.epochs_done == 0 and trial.metric is None for trial in refused)
    assert all((trial.proof or {})["constraint"] == "max_energy_pj" for trial in refused)
    measured = [trial for trial in rows if trial.status == TrialStatus.DONE]
    assert len(measured) == 4
    assert all((trial.energy_pj or 0) <= limit for trial in measured)


def test_trials_that_cannot_win_are_pruned_and_their_proof_is_stored(bench: Bench) -> None:
    training = {"epochs": 8, "batch_size": 16}  # enough for a metric near 1
    # a seed whose first trials are not yet so good that nothing else could win
    rows = done(bench, budget={"trials": 5}, bound="strict", training=training, parallel_trials=1, seed=2)
    pruned = [trial for trial in rows if trial.status == TrialStatus.PRUNED]
    assert pruned
    for trial in pruned:
        proof = trial.proof or {}
        assert proof["best_possible_score"] <= proof["incumbent_score"]
        assert proof["incumbent"] < trial.number
        assert trial.epochs_done == 0
    assert sum(trial.status == TrialStatus.DONE for trial in rows) == 5
    assert job(bench, rows).status == JobStatus.DONE


def test_defect_10_a_job_in_which_nothing_is_feasible_fails_with_the_reason(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.engine.MAX_FREE", 12)
    rows = done(bench, constraints={"max_energy_pj": 1e-3})
    ended = job(bench, rows)
    assert ended.status == JobStatus.FAILED
    assert "max_energy_pj" in (ended.reason or "")


def test_defect_32_a_training_given_up_is_pruned_with_its_metric_and_its_cost(bench: Bench) -> None:
    rows = done(
        bench,
        budget={"trials": 12},
        training={"epochs": 4, "batch_size": 64},
        stopping={"kind": "asha", "grace_epochs": 1, "factor": 2},
        limits={"by_class": {"Dense": [8, 8, 4], "Activation": [8]}},
        parallel_trials=1,
    )
    given_up = [trial for trial in rows if trial.status == TrialStatus.PRUNED]
    assert given_up
    for trial in given_up:
        assert trial.epochs_done in (1, 2)
        assert trial.metric == (trial.proof or {})["metric"]
        assert trial.cost is not None
    assert len(rows) == 12


def test_trap_weights_a_promoted_trial_goes_on_with_weights_and_optimizer_of_its_parent(
    bench: Bench, tmp_path: Path
) -> None:
    rows = done(bench, **HYPERBAND)
    promoted = [trial for trial in rows if trial.parent is not None]
    assert promoted
    for trial in promoted:
        parent = rows[trial.parent or 0]
        assert trial.assignment_key == parent.assignment_key
        assert trial.seed == parent.seed
        before, after = iterations(bench, parent, tmp_path), iterations(bench, trial, tmp_path)
        steps = before // (parent.best_epoch + 1)  # type: ignore[operator]
        assert after == before + steps * ((trial.best_epoch or 0) - trial.initial_epoch + 1)


def test_hyperband_trains_no_epoch_twice(bench: Bench) -> None:
    rows = done(bench, **HYPERBAND)
    assert all(trial.status == TrialStatus.DONE for trial in rows)
    assert all(trial.epochs_done == trial.epochs for trial in rows)
    with bench.database.reading() as session:
        for trial in rows:
            reported = [row.epoch for row in trials.epochs(session, trial)]
            assert reported == list(range(trial.initial_epoch, trial.epochs or 0))


def test_a_promoted_trial_whose_parent_s_model_is_gone_starts_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.trials.artifacts", lambda *_: [])
    job_id = bench.submit(**HYPERBAND)
    for _ in range(200):
        if not bench.queue.messages:
            break
        if bench.queue.messages[0][0].value.endswith("finalize_job"):
            break
        bench.step()
    with bench.database.reading() as session:
        rows = trials.page(session, job_id, limit=1000)
        promoted = [trial for trial in rows if trial.parent is not None]
        assert promoted
        assert [row.epoch for row in trials.epochs(session, promoted[0])] == list(
            range(promoted[0].epochs or 0)
        )
