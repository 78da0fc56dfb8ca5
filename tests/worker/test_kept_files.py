"""Files of trials that are not on the front, removed at the end of a job that asks for it."""

from __future__ import annotations

from sqlalchemy import select

from search.history import JobStatus
from search.results.kept import kept_numbers
from search.scoring.forgiving_factor import ForgivingFactor
from service.store import jobs, trials
from service.store.models import DiscardedBlob
from tests.worker.conftest import Bench
from tests.worker.test_rerun import submitted


def test_only_the_front_keeps_its_models_and_all_keep_report_and_recipe(bench: Bench) -> None:
    job_id = submitted(bench, keep="front", budget={"trials": 5}, training={"epochs": 2, "batch_size": 64})
    with bench.database.reading() as session:
        job, history = jobs.get(session, job_id), trials.history(session, job_id)
        names = {
            row.number: {artifact.name for artifact in trials.artifacts(session, row)}
            for row in trials.page(session, job_id, limit=10)
        }
        discarded = set(session.scalars(select(DiscardedBlob.sha256)))
    assert job.status == JobStatus.DONE
    assert job.best_trial is not None
    kept = kept_numbers(history, ForgivingFactor(), job.best_trial)
    assert 0 < len(kept) < len(history)
    for number, files in names.items():
        assert {"report.json", "recipe.json"} <= files
        assert ("model.keras" in files) == ("weights.npz" in files) == (number in kept)
    assert discarded


def test_a_trial_that_was_finalized_keeps_its_files(bench: Bench) -> None:
    from service.store import final_trainings

    job_id = submitted(bench, budget={"trials": 4}, training={"epochs": 2, "batch_size": 64})
    with bench.database.transaction() as session:
        for number in (0, 1):
            final_trainings.request(session, job_id, number, 1)
        trials.remove_files(session, job_id, {2}, {"report.json"})
    with bench.database.reading() as session:
        rows = trials.page(session, job_id, limit=10)
        files = [{artifact.name for artifact in trials.artifacts(session, row)} for row in rows]
    assert ["model.keras" in names for names in files] == [True, True, True, False]
    assert files[3] == {"report.json"}
