"""Jobs that their users pause, stop, retry and extend, through the tasks of a worker."""

from __future__ import annotations

from datetime import timedelta

import pytest

from search.history import Cause, JobStatus, TrialStatus
from service.queue import TaskName
from service.store import claims, job_actions, jobs, trials
from service.store.models import Job
from tests.worker.conftest import Bench
from worker.sweep import sweep


def read(bench: Bench, job_id: str) -> tuple[Job, list[str]]:
    with bench.database.reading() as session:
        job = jobs.get(session, job_id)
        return job, [trial.status for trial in trials.page(session, job_id, limit=1000)]


def act(bench: Bench, verb: str, job_id: str) -> None:
    """What the API does for a verb."""
    with bench.database.transaction() as session:
        job = getattr(job_actions, verb)(session, job_id)
        for trial_id in job_actions.startable(session, job):
            bench.queue.enqueue(TaskName.RUN_TRIAL, trial_id)
        bench.queue.enqueue(TaskName.ADVANCE_JOB, job_id)


def extend(bench: Bench, job_id: str, more: int) -> None:
    with bench.database.transaction() as session:
        spec = jobs.get(session, job_id).spec
        budget = spec["budget"] | {"trials": spec["budget"]["trials"] + more}
        job_actions.extend(session, job_id, spec | {"budget": budget})
        bench.queue.enqueue(TaskName.ADVANCE_JOB, job_id)


def test_a_paused_job_does_nothing_until_it_is_resumed(bench: Bench) -> None:
    job_id = bench.submit()
    bench.step()
    act(bench, "pause", job_id)
    bench.work()
    job, statuses = read(bench, job_id)
    assert (job.status, statuses) == (JobStatus.PAUSED, ["queued", "queued"])
    act(bench, "resume", job_id)
    bench.work()
    job, statuses = read(bench, job_id)
    assert (job.status, statuses) == (JobStatus.DONE, ["done", "done"])


def test_a_stopped_job_reports_the_best_it_has(bench: Bench) -> None:
    job_id = bench.submit(budget={"trials": 5}, parallel_trials=1)
    while read(bench, job_id)[1] != ["done"]:
        bench.step()
    act(bench, "stop", job_id)
    bench.work()
    job, statuses = read(bench, job_id)
    assert (job.status, job.cause, statuses) == (JobStatus.DONE, Cause.USER, ["done"])
    assert job.reason == "stopped by its user after 1 trials"
    assert job.best_trial == 0


def test_a_job_stopped_before_any_trial_was_measured_is_cancelled(bench: Bench) -> None:
    job_id = bench.submit()
    bench.step()
    act(bench, "stop", job_id)
    bench.work()
    job, statuses = read(bench, job_id)
    assert (job.status, statuses) == (JobStatus.CANCELLED, ["cancelled", "cancelled"])
    assert "before any trial was measured" in (job.reason or "")


def test_an_extended_job_goes_on_with_new_trials_and_reports_again(bench: Bench) -> None:
    job_id = bench.submit()
    bench.work()
    extend(bench, job_id, 2)
    bench.work()
    job, statuses = read(bench, job_id)
    assert (job.status, job.cause, job.reason) == (JobStatus.DONE, Cause.TRIALS, "all 4 trials are done")
    assert statuses == ["done"] * 4
    with bench.database.reading() as session:
        history = trials.history(session, job_id)
    assert len({record.assignment.key for record in history}) == 4


def test_failed_trials_that_are_retried_may_be_measured(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry(*_: object, **__: object) -> None:
        raise MemoryError

    job_id = bench.submit()
    with monkeypatch.context() as patch:
        patch.setattr("search.training.trial.assemble", hungry)
        bench.work()
    job, statuses = read(bench, job_id)
    assert (job.status, job.cause, statuses) == (JobStatus.FAILED, Cause.NO_RESULT, ["failed", "failed"])
    act(bench, "retry", job_id)
    bench.work()
    job, statuses = read(bench, job_id)
    assert (job.status, statuses) == (JobStatus.DONE, ["done", "done"])


def test_retried_trials_run_no_more_at_once_than_allowed_and_all_of_them_run(bench: Bench) -> None:
    job_id = bench.submit(budget={"trials": 4}, parallel_trials=4)
    bench.step()
    with bench.database.transaction() as session:
        for trial_id in claims.waiting(session, job_id, 4):
            claim = claims.claim_next(session, trial_id, worker="host/1/0", lease=timedelta(seconds=60))
            assert claim is not None
            claims.end(session, claim, TrialStatus.FAILED, "the power went out")
        spec = jobs.get(session, job_id).spec
        job_actions.patch(session, job_id, spec | {"parallel_trials": 1})
    bench.queue.messages.clear()
    act(bench, "retry", job_id)
    assert [task for task, _ in bench.queue.messages].count(TaskName.RUN_TRIAL) == 1
    bench.work()
    assert read(bench, job_id)[1] == ["done"] * 4


def test_a_smaller_budget_ends_the_search_sooner(bench: Bench) -> None:
    job_id = bench.submit(budget={"trials": 50}, parallel_trials=1)
    bench.step()
    with bench.database.transaction() as session:
        spec = jobs.get(session, job_id).spec
        job_actions.patch(session, job_id, spec | {"budget": spec["budget"] | {"trials": 2}})
    bench.work()
    job, statuses = read(bench, job_id)
    assert (job.reason, statuses) == ("all 2 trials are done", ["done", "done"])


def test_the_sweep_removes_what_is_out_of_date(bench: Bench) -> None:
    bench.settings.__dict__.update(discard=timedelta(0), events=timedelta(0), resend=timedelta(hours=1))
    remaining, deleted = bench.submit(budget={"trials": 1}), bench.submit(budget={"trials": 1}, seed=8)
    bench.work()
    with bench.database.transaction() as session:
        row = trials.artifact(session, trials.get(session, deleted, 0), "report.json")
        job_actions.delete(session, deleted)
    sweep(bench.runtime)
    assert not bench.runtime.blobs.path(row.sha256).exists()
    with bench.database.reading() as session:
        for file in trials.artifacts(session, trials.get(session, remaining, 0)):
            assert bench.runtime.blobs.path(file.sha256).exists()
