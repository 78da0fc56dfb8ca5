"""The final training of a chosen trial, through the worker."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import keras
import pytest

from search.errors import Diverged
from search.results.final_training import FinalStatus
from search.results.report import report_text
from search.training.trial import run_trial
from service.api.final_trainings import final_view
from service.cli.text.results import final_training_line
from service.queue import TaskName
from service.store import final_trainings, test_looks, trials
from service.store.final_training_models import FinalTraining
from service.store.leases import Watch
from service.views.jobs import look_view
from tests.worker.conftest import Bench
from worker import final_training
from worker.identity import is_surely_dead


def finalize(bench: Bench, job_id: str, number: int, epochs: int) -> None:
    with bench.database.transaction() as session:
        row, _ = final_trainings.request(session, job_id, number, epochs)
        bench.queue.enqueue(TaskName.RUN_FINAL_TRAINING, row.trial_id)


def final_of(bench: Bench, job_id: str, number: int = 0) -> FinalTraining:
    with bench.database.reading() as session:
        return final_trainings.get(session, job_id, number)


def files_of(bench: Bench, job_id: str, number: int = 0) -> dict[str, Path]:
    with bench.database.reading() as session:
        rows = trials.artifacts(session, trials.get(session, job_id, number))
    return {row.name: bench.runtime.blobs.path(row.sha256) for row in rows}


@pytest.fixture
def searched(bench: Bench) -> str:
    """A job of one trial that has ended."""
    job_id = bench.submit(budget={"trials": 1})
    bench.work()
    return job_id


def test_it_learns_from_the_float_model_where_that_is_asked_for(bench: Bench, searched: str) -> None:
    results = []
    for distill in (None, {"temperature": 4.0, "share": 1.0}):
        with bench.database.transaction() as session:
            row, _ = final_trainings.request(session, searched, 0, 2, distill)
            bench.queue.enqueue(TaskName.RUN_FINAL_TRAINING, row.trial_id)
        bench.work()
        final = final_of(bench, searched)
        assert final.status == FinalStatus.DONE
        assert final.distill == distill
        results.append((final.loss, files_of(bench, searched)["final-weights.npz"].read_bytes()))
    assert results[0][1] != results[1][1]
    report = json.loads(files_of(bench, searched)["final-report.json"].read_text())
    assert report["configuration"]["spec"]["training"]["distill"]["share"] == 1.0


def steps(path: Path, folder: Path) -> int:
    """Steps the optimizer of a stored model has taken."""
    named = folder / f"{path.name}.keras"
    shutil.copyfile(path, named)
    return int(keras.models.load_model(named).optimizer.iterations)


def test_a_final_training_goes_on_where_the_trial_stopped_and_leaves_it_as_it_was(
    bench: Bench, searched: str, tmp_path: Path
) -> None:
    with bench.database.reading() as session:
        before = trials.get(session, searched, 0)
    was = files_of(bench, searched)
    finalize(bench, searched, 0, epochs=3)
    bench.work()
    row, files = final_of(bench, searched), files_of(bench, searched)
    assert (row.status, row.reason, row.epochs_done) == (FinalStatus.DONE, None, 4)
    assert row.best_epoch is not None
    assert row.best_epoch >= 1
    assert row.metric is not None
    assert row.test_metric is not None
    with bench.database.reading() as session:
        after = trials.get(session, searched, 0)
    assert (after.metric, after.best_epoch, after.status) == (before.metric, before.best_epoch, before.status)
    assert {name: files[name] for name in was} == was
    assert {name for name in files if name.startswith("final-")} == {f"final-{name}" for name in was} - {
        "final-recipe.json"
    }
    first, last = steps(files["model.keras"], tmp_path), steps(files["final-model.keras"], tmp_path)
    assert last == first * (row.best_epoch + 1)


def test_the_final_report_holds_both_metrics(bench: Bench, searched: str) -> None:
    finalize(bench, searched, 0, epochs=1)
    bench.work()
    row = final_of(bench, searched)
    report = json.loads(files_of(bench, searched)["final-report.json"].read_text())
    assert report["validation"]["metric"] == row.metric
    assert report["test"]["metric"] == row.test_metric


def test_looks_at_the_test_data_are_counted_and_the_third_is_marked(bench: Bench, searched: str) -> None:
    for epochs in (1, 2):
        finalize(bench, searched, 0, epochs)
        bench.work()
    with bench.database.reading() as session:
        looks = [look_view(row) for row in test_looks.of_job(session, searched)]
        final = final_view(session, searched, 0, final_trainings.get(session, searched, 0))
    assert [(look.number, look.trial, look.kind, look.optimistic) for look in looks] == [
        (1, 0, "report", False),
        (2, 0, "final_training", False),
        (3, 0, "final_training", True),
    ]
    files = files_of(bench, searched)
    report, last = (
        json.loads(files[name].read_text())["test"] for name in ("report.json", "final-report.json")
    )
    assert [report["look"], last["look"]] == [1, 3]
    assert [report["metric"], last["metric"]] == [looks[0].metric, looks[2].metric]
    assert final.test_look == looks[2]
    assert "(3rd look at the test data: the figure is optimistic)" in str(final_training_line(final))


def test_all_reports_of_a_job_are_written_alike(bench: Bench, searched: str) -> None:
    """That of the trial, which the end of the search completes, and that of its final training."""
    finalize(bench, searched, 0, epochs=1)
    bench.work()
    files = files_of(bench, searched)
    for name in ("report.json", "final-report.json"):
        text = files[name].read_text()
        report = json.loads(text)
        assert report["test"] is not None
        assert text == report_text(report)


def test_a_final_training_whose_worker_was_killed_is_done_by_the_next_one(
    bench: Bench, searched: str
) -> None:
    finalize(bench, searched, 0, epochs=1)
    with bench.database.transaction() as session:  # a worker claims it and dies
        trial_id = final_trainings.get(session, searched, 0).trial_id
        final_trainings.claim(session, trial_id, worker="elsewhere/1/0", lease=timedelta(seconds=-1))
    bench.work()
    assert final_of(bench, searched).status == FinalStatus.RUNNING
    final_training.sweep(bench.runtime, Watch(is_surely_dead))
    bench.work()
    row = final_of(bench, searched)
    assert (row.status, row.attempt) == (FinalStatus.DONE, 2)


def test_a_worker_that_lost_its_lease_while_training_stores_nothing(
    bench: Bench, searched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(*arguments: object, **options: object) -> object:
        with bench.database.transaction() as session:
            row = final_trainings.get(session, searched, 0)
            row.attempt, row.worker = row.attempt + 1, "elsewhere/1/0"
        return run_trial(*arguments, **options)  # type: ignore[arg-type]

    finalize(bench, searched, 0, epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr("search.training.trial.run_trial", overtaken)
        bench.work()
    row = final_of(bench, searched)
    assert (row.status, row.metric) == (FinalStatus.RUNNING, None)
    assert "final-model.keras" not in files_of(bench, searched)


def test_numbers_out_of_range_fail_the_final_training_with_their_reason(
    bench: Bench, searched: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverging(*_: object, **__: object) -> object:
        raise Diverged("loss became nan in epoch 2")

    finalize(bench, searched, 0, epochs=1)
    with monkeypatch.context() as patch:
        patch.setattr("search.training.trial.run_trial", diverging)
        bench.work()
    row = final_of(bench, searched)
    assert (row.status, row.reason) == (FinalStatus.FAILED, "loss became nan in epoch 2")


def test_a_lost_message_is_sent_again(bench: Bench, searched: str) -> None:
    finalize(bench, searched, 0, epochs=1)
    bench.queue.messages.clear()
    bench.settings.__dict__["resend"] = timedelta(seconds=-1)
    final_training.sweep(bench.runtime, Watch(is_surely_dead))
    bench.work()
    assert final_of(bench, searched).status == FinalStatus.DONE
