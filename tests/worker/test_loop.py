"""The loop of one message: it is enough for a whole search, and messages are sent for what it leaves undone."""

from __future__ import annotations

import pytest

from search.history import JobStatus, TrialStatus
from service.queue import TaskName
from service.store import jobs, trials, workers
from tests.worker.conftest import Bench
from worker import loop, tasks


def loop_of(bench: Bench) -> None:
    """Do the first message as a worker does."""
    task, ids = bench.queue.messages.popleft()
    loop.run(bench.runtime, task, *ids)


def job_status(bench: Bench, job_id: str) -> str:
    with bench.database.reading() as session:
        return jobs.get(session, job_id).status


def statuses(bench: Bench, job_id: str) -> list[str]:
    with bench.database.reading() as session:
        return [trial.status for trial in trials.page(session, job_id, limit=100)]


def test_one_message_brings_a_search_to_its_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOOP_S", 1e6)
    job_id = bench.submit(budget={"trials": 3})
    loop_of(bench)
    assert job_status(bench, job_id) == JobStatus.DONE
    assert statuses(bench, job_id) == [TrialStatus.DONE] * 3


def test_a_loop_reports_that_its_worker_is_alive(bench: Bench) -> None:
    loop.run(bench.runtime, TaskName.RUN_TRIAL, 0)
    with bench.database.reading() as session:
        assert workers.alive(session, bench.settings.heartbeat) == 1


def test_of_several_new_trials_all_but_one_are_left_to_others(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent_before_the_first: list[TaskName] = []

    def run_trial(*_: object) -> bool:
        sent_before_the_first.extend(task for task, _ in bench.queue.messages)
        return False

    monkeypatch.setattr(tasks, "run_trial", run_trial)
    bench.submit(budget={"trials": 3}, parallel_trials=3)
    loop_of(bench)
    assert sent_before_the_first == [TaskName.RUN_TRIAL] * 2
    assert [task for task, _ in bench.queue.messages] == [TaskName.RUN_TRIAL] * 2


def test_a_loop_that_is_over_sends_messages_for_what_it_leaves(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "LOOP_S", 0.0)
    job_id = bench.submit(budget={"trials": 2}, parallel_trials=1)
    steps = 0
    while bench.queue.messages:
        loop_of(bench)
        steps += 1
    assert steps == 6  # advance, trial, advance, trial, advance, report
    assert job_status(bench, job_id) == JobStatus.DONE


def test_a_trial_that_is_returned_is_not_claimed_again_in_the_same_loop(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(loop, "LOOP_S", 1e6)
    monkeypatch.setattr("search.training.trial.assemble", full)
    job_id = bench.submit(budget={"trials": 1})
    loop_of(bench)
    assert statuses(bench, job_id) == [TrialStatus.QUEUED]
    assert [task for task, _ in bench.queue.messages] == [TaskName.ADVANCE_JOB]


def test_trials_that_end_while_a_worker_is_busy_wait_for_no_message(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two trials are queued; the message of the second one is lost, and still the first one's worker takes it."""
    monkeypatch.setattr(loop, "LOOP_S", 1e6)
    job_id = bench.submit(budget={"trials": 2}, parallel_trials=2)
    bench.step()
    del bench.queue.messages[1]
    loop_of(bench)
    assert statuses(bench, job_id) == [TrialStatus.DONE] * 2
    assert job_status(bench, job_id) == JobStatus.DONE
