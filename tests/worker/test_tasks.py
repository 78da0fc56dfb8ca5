"""A job through the tasks of a worker: every state it can take, and messages that come twice, late or never."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from search.history import JobStatus, TrialStatus
from service.store import claims, job_actions, jobs, trials
from service.store.leases import LeaseStatus
from service.store.models import Job, Trial
from tests.worker.conftest import Bench, write_data
from worker import advance
from worker.sweep import sweep


def job_of(bench: Bench, job_id: str) -> Job:
    with bench.database.reading() as session:
        return jobs.get(session, job_id)


def trials_of(bench: Bench, job_id: str) -> list[Trial]:
    with bench.database.reading() as session:
        return trials.page(session, job_id, limit=1000)


def statuses(bench: Bench, job_id: str) -> list[str]:
    return [trial.status for trial in trials_of(bench, job_id)]


def test_a_job_runs_to_its_report(bench: Bench) -> None:
    job_id = bench.submit()
    bench.work()
    job = job_of(bench, job_id)
    assert (job.status, job.reason) == (JobStatus.DONE, "all 2 trials are done")
    assert statuses(bench, job_id) == ["done", "done"]


def test_the_best_trial_s_report_holds_the_test_metric_and_no_other_does(bench: Bench) -> None:
    job_id = bench.submit()
    bench.work()
    best = job_of(bench, job_id).best_trial
    for trial in trials_of(bench, job_id):
        with bench.database.reading() as session:
            row = trials.artifact(session, trial, "report.json")
            names = [row.name for row in trials.artifacts(session, trial)]
        report = json.loads(bench.runtime.blobs.path(row.sha256).read_text())
        assert (report["test"] is not None) == (trial.number == best)
        assert ("tensors.json" in names) == (trial.number == best)


def test_every_artifact_of_a_trial_is_stored(bench: Bench) -> None:
    job_id = bench.submit()
    bench.work()
    with bench.database.reading() as session:
        rows = trials.artifacts(session, trials.get(session, job_id, 0))
    names = [row.name for row in rows if row.name != "tensors.json"]  # only of the best trial
    files = [
        "model.keras",
        "preprocessing.json",
        "quantizers.json",
        "recipe.json",
        "report.json",
        "weights.npz",
    ]
    assert names == files


def test_messages_that_come_twice_change_nothing(bench: Bench) -> None:
    job_id = bench.submit()
    while bench.queue.messages:
        bench.queue.messages.appendleft(bench.queue.messages[0])
        bench.step()
        bench.step()
    assert [(t.status, t.attempt) for t in trials_of(bench, job_id)] == [("done", 1), ("done", 1)]
    assert job_of(bench, job_id).status == JobStatus.DONE


def test_lost_messages_are_sent_again_by_the_sweep(bench: Bench) -> None:
    bench.settings.__dict__["resend"] = timedelta(seconds=-1)
    job_id = bench.submit()
    for _ in range(50):
        bench.queue.messages.clear()  # everything that was sent is lost
        sweep(bench.runtime)
        if not bench.queue.messages:
            break
        bench.step()
    assert job_of(bench, job_id).status == JobStatus.DONE


def test_a_trial_of_a_dead_worker_is_run_again(bench: Bench) -> None:
    job_id = bench.submit()
    bench.step()
    with bench.database.transaction() as session:
        first = trials.get(session, job_id, 0).id
        claims.claim_next(session, first, worker="elsewhere/1/0", lease=timedelta(seconds=-1))
    sweep(bench.runtime)
    bench.work()
    assert [(t.status, t.attempt) for t in trials_of(bench, job_id)] == [("done", 2), ("done", 1)]


def test_numbers_out_of_range_fail_the_trial_and_a_job_without_results(bench: Bench) -> None:
    # Of the training part a plan reads the range already.
    write_data(bench.settings.data_folder, "poisoned.npz", poison=float("inf"), poisoned=("test",))
    job_id = bench.submit(data={"kind": "npz", "file": "poisoned.npz", "preprocessing": "none"})
    bench.work()
    job = job_of(bench, job_id)
    assert statuses(bench, job_id) == ["failed", "failed"]
    assert job.status == JobStatus.FAILED
    assert "none of 2 trials could be measured" in (job.reason or "")


def test_running_out_of_memory_fails_the_trial_with_its_reason(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry(*_: object, **__: object) -> None:
        raise MemoryError

    job_id = bench.submit()
    bench.step()
    with monkeypatch.context() as patch:
        patch.setattr("search.training.trial.assemble", hungry)
        bench.step()
    bench.work()
    rows = trials_of(bench, job_id)
    assert [trial.status for trial in rows] == ["failed", "done"]
    assert "memory" in (rows[0].reason or "")
    assert job_of(bench, job_id).status == JobStatus.DONE


def test_a_cancelled_job_runs_no_further_trial(bench: Bench) -> None:
    job_id = bench.submit()
    bench.step()
    with bench.database.transaction() as session:
        job_actions.cancel(session, job_id)
    bench.work()
    assert statuses(bench, job_id) == ["cancelled", "cancelled"]
    assert job_of(bench, job_id).status == JobStatus.CANCELLED


def test_a_trial_that_runs_when_its_job_is_cancelled_ends(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit(training={"epochs": 500})
    bench.step()

    original = claims.add_epochs

    def add_epochs(session: object, *args: object) -> object:
        state = original(session, *args)  # type: ignore[arg-type]
        return LeaseStatus.CANCELLED if state is LeaseStatus.HELD else state

    with monkeypatch.context() as patch:
        patch.setattr("service.store.claims.add_epochs", add_epochs)
        bench.step()
    assert trials_of(bench, job_id)[0].status == TrialStatus.CANCELLED


def test_a_time_budget_ends_the_search_with_what_there_is(bench: Bench) -> None:
    job_id = bench.submit(budget={"trials": 50, "seconds": 0.001}, parallel_trials=1)
    bench.work()
    reached = statuses(bench, job_id)
    assert len(reached) < 50
    assert job_of(bench, job_id).status in (JobStatus.DONE, JobStatus.FAILED)


def test_a_small_space_ends_when_every_assignment_was_tried(bench: Bench) -> None:
    limits = {"by_class": {"Activation": {"activation": ["binary", "ternary"]}}}
    job_id = bench.submit(
        limits={"by_name": {"act.*|relu.*": limits["by_class"]["Activation"]}}, budget={"trials": 10}
    )
    bench.work()
    job = job_of(bench, job_id)
    assert job.status == JobStatus.DONE
    assert job.reason == "the space is exhausted: all 2 different assignments were tried"


def test_a_worker_that_asked_too_late_stores_nothing_and_looks_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit()
    slow = advance._propose

    def overtaken(*args: object) -> None:
        monkeypatch.setattr(advance, "_propose", slow)
        advance.advance_job(bench.runtime, job_id)
        slow(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(advance, "_propose", overtaken)
    bench.step()
    assert len(trials_of(bench, job_id)) == 2
    bench.work()
    assert statuses(bench, job_id) == ["done", "done"]


def test_a_search_that_breaks_again_and_again_ends_the_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the oracle is broken")

    monkeypatch.setattr(advance, "_propose", broken)
    job_id = bench.submit()
    for _ in range(bench.settings.max_attempts):
        advance.advance_job(bench.runtime, job_id)
    job = job_of(bench, job_id)
    assert job.status == JobStatus.FAILED
    assert job.reason == "the search failed 3 times in a row: RuntimeError: the oracle is broken"


def test_a_search_that_broke_once_goes_on(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("for once")

    job_id = bench.submit(budget={"trials": 1})
    with monkeypatch.context() as patch:
        patch.setattr(advance, "_propose", broken)
        bench.step()
    advance.advance_job(bench.runtime, job_id)
    bench.work()
    assert job_of(bench, job_id).status == JobStatus.DONE


def test_a_message_about_a_job_that_is_gone_does_nothing(bench: Bench) -> None:
    advance.advance_job(bench.runtime, "gone")


def test_blocks_are_searched_one_on_top_of_the_other(bench: Bench) -> None:
    job_id = bench.submit(
        schedule={"kind": "per_block", "blocks": ["(fc|relu)1", "(fc|relu)[23]|output"]}, budget={"trials": 4}
    )
    bench.work()
    job = job_of(bench, job_id)
    assert job.status == JobStatus.DONE, [trial.reason for trial in trials_of(bench, job_id)]
    rows = trials_of(bench, job_id)
    front = [trial for trial in rows if trial.parent is None]
    assert len(rows) == 4
    assert front
    settled = {trial.parent for trial in rows} - {None}
    assert len(settled) == 1
    (best,) = settled
    chosen = rows[best].assignment["quantizers"]
    for trial in rows[len(front) :]:
        assert chosen.items() <= trial.assignment["quantizers"].items()
