"""A job whose best trial is polished: a trial more, measured, reported and run again like every other."""

from __future__ import annotations

from pathlib import Path

from search.history import JobStatus, TrialStatus
from search.scoring.best import best_trial
from search.scoring.forgiving_factor import ForgivingFactor
from service.store import jobs, trials
from tests.worker.conftest import Bench
from tests.worker.test_rerun import recipe_of, submitted
from worker import rerun

JOB = {
    "quantizers": {
        "kernel": [f"quantized_bits({bits},0,1,alpha=1.0)" for bits in (2, 3, 4, 6, 8)],
        "bias": ["quantized_bits(4,1,1)", "quantized_bits(8,3,1)"],
        "activation": ["quantized_relu(2,1)", "quantized_relu(4,2)", "quantized_relu(8,2)"],
    },
    "limits": {"by_class": {"Dense": 8, "Activation": 8}},
    "training": {"epochs": 3, "batch_size": 32, "learning_rate": 0.01},
    "polish": {"kind": "bits", "drop": 0.02},
}


def test_a_polished_trial_is_a_trial_like_every_other(bench: Bench, tmp_path: Path) -> None:
    job_id = submitted(bench, **JOB)
    with bench.database.reading() as session:
        job, rows = jobs.get(session, job_id), trials.page(session, job_id, limit=10)
        *searched, polished = rows
        names = {row.name for row in trials.artifacts(session, polished)}
        best = best_trial(trials.history(session, job_id), ForgivingFactor(), job.reference_cost)
    assert job.status == JobStatus.DONE
    assert len(searched) == 2
    assert polished.status == TrialStatus.DONE
    parent = rows[polished.parent or 0]
    assert (polished.cost or 0) < (parent.cost or 0)
    assert (polished.metric or 0) >= (parent.metric or 0) - 0.02
    assert best is not None
    assert job.best_trial == best.trial.number  # of all, by the score
    assert {"model.keras", "report.json", "recipe.json", "weights.npz"} <= names
    recipe = recipe_of(bench, job_id, polished.number, tmp_path)
    assert (recipe.polish, recipe.parent) == (0.02, parent.number)
    again = rerun.rerun(recipe, tmp_path, bench.settings.data_folder)
    assert (again.metric, again.cost.value) == (polished.metric, polished.cost)
