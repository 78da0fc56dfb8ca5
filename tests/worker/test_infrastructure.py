"""Whatever the database or a disk does, no trial fails for it: it goes on, or is given back and loses no attempt.

Trainings are made up. A fault comes at a step of the job (a statement, a commit, a file), as deaths do in `test_kills`.
"""

from __future__ import annotations

import errno
import random
import shutil
from collections import namedtuple
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

import search.training.evaluate
import search.training.trial
from search.history import JOB_ENDED, AttemptOutcome, JobStatus, TrialStatus
from search.training.request import Reporter
from service.queue import TaskName
from service.store import claims, job_actions, jobs, sweeps, trials, workers
from service.store import session as store_session
from service.store.blobs import BlobStore
from service.store.models import Job, Sweep, Trial, now
from service.store.session import database_now
from service.store.trials import History
from tests.worker.conftest import Bench
from tests.worker.lives import made_up_test, made_up_training
from worker import abandoned, tasks
from worker.identity import is_surely_dead, worker_name
from worker.sweep import sweep, sweep_in_turn

Disk = namedtuple("Disk", "total used free")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search.training.trial, "run_trial", made_up_training)
    monkeypatch.setattr(search.training.evaluate, "evaluate_file", made_up_test)
    monkeypatch.setattr(store_session.time, "sleep", lambda _: None)
    monkeypatch.setattr("worker.backoff._PAUSE_S", 0.0)


def outage() -> DBAPIError:
    """A backend that an operator terminated."""
    error = psycopg.errors.AdminShutdown("terminating connection due to administrator command")
    return DBAPIError.instance("UPDATE x", {}, error, psycopg.Error)  # type: ignore[return-value]


class Faults:
    """Raises an error at some of the steps of a worker."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = 0
        self.at: set[int] = set()
        self.error: Any = outage
        event.listen(bench.database.engine, "before_cursor_execute", lambda *_: self.step())
        put = BlobStore.put

        def put_or_fail(store: BlobStore, source: Path) -> Any:
            self.step()
            return put(store, source)

        monkeypatch.setattr(BlobStore, "put", put_or_fail)

    def step(self) -> None:
        """Count a step, and fail at it if it is one of those."""
        self.steps += 1
        if self.steps in self.at:
            raise self.error()


def live(bench: Bench, job_id: str) -> None:
    """Sweep and work until the job has ended, whatever is raised outside the tasks."""
    for _ in range(60):
        try:
            abandoned.give_back(bench.runtime, "the database did not respond")
            sweep(bench.runtime)
            bench.work()
            with bench.database.reading() as session:
                if jobs.get(session, job_id).status in JOB_ENDED:
                    return
        except DBAPIError:
            bench.queue.messages.clear()
    raise AssertionError("the job does not end")


def rows(bench: Bench, job_id: str) -> list[Trial]:
    with bench.database.reading() as session:
        return trials.page(session, job_id, limit=1000)


@pytest.mark.parametrize("seed", range(3))
def test_a_job_survives_faults_of_the_database_at_any_step(
    seed: int, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.settings.__dict__["resend"] = timedelta(seconds=-1)
    job_id = bench.submit(budget={"trials": 4}, training={"epochs": 3, "batch_size": 64})
    read_more = trials.history_since

    def read_and_compare(session: Session, job_id: str, earlier: History | None) -> History:
        history = read_more(session, job_id, earlier)
        assert list(history.records) == trials.history(session, job_id)
        return history

    monkeypatch.setattr(trials, "history_since", read_and_compare)
    faults = Faults(bench, monkeypatch)
    faults.at = set(random.Random(seed).sample(range(1, 220), 30))
    live(bench, job_id)
    with bench.database.reading() as session:
        job = jobs.get(session, job_id)
    assert job.status == JobStatus.DONE, job.reason
    assert {trial.status for trial in rows(bench, job_id)} == {TrialStatus.DONE}
    for trial in rows(bench, job_id):
        with bench.database.reading() as session:
            epochs = [epoch.epoch for epoch in trials.epochs(session, trial)]
        assert epochs == sorted(set(epochs)), "no epoch is stored twice"


def test_a_full_blob_disk_holds_the_result_back_and_loses_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([OSError(errno.ENOSPC, "No space left on device")] * 5)
    put = BlobStore.put

    def full(store: BlobStore, source: Path) -> Any:
        error = next(failures, None)
        if error is not None:
            raise error
        return put(store, source)

    monkeypatch.setattr(BlobStore, "put", full)
    job_id = bench.submit()
    bench.work()
    assert [(row.status, row.attempt) for row in rows(bench, job_id)] == [("done", 1), ("done", 1)]


def test_a_disk_that_stays_full_gives_the_trial_back_without_an_attempt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    job_id = bench.submit(budget={"trials": 1})
    bench.step()
    for _ in range(5):
        with monkeypatch.context() as patch:
            patch.setattr(search.training.trial, "run_trial", full)
            tasks.run_trial(bench.runtime, 0)
    (trial,) = rows(bench, job_id)
    assert (trial.status, trial.attempt, trial.attempts_before) == (TrialStatus.QUEUED, 5, 5)
    assert trial.reason == "No space left on device"
    bench.work()
    assert rows(bench, job_id)[0].status == TrialStatus.DONE


def test_no_trial_begins_while_a_disk_has_no_room_and_the_worker_says_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit(budget={"trials": 1})
    bench.step()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: Disk(1 << 40, 1 << 40, 1 << 20))
        assert not tasks.run_trial(bench.runtime, 0)
    with bench.database.reading() as session:
        (problem,) = workers.problems(session, bench.settings.heartbeat)
    assert "FEWBITS_MIN_FREE_MB" in problem
    assert [row.attempt for row in rows(bench, job_id)] == [0]
    bench.work()
    assert [row.status for row in rows(bench, job_id)] == ["done"]
    with bench.database.reading() as session:
        assert workers.problems(session, bench.settings.heartbeat) == []


def test_a_worker_pauses_longer_after_each_failure_outside_its_trials(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.backoff._PAUSE_S", 100.0)
    bench.submit(budget={"trials": 1})
    bench.step()
    bench.runtime.backoff.note_failure()
    assert not tasks.run_trial(bench.runtime, 0)
    bench.runtime.backoff.note_success()
    assert tasks.run_trial(bench.runtime, 0)


def test_training_goes_on_while_no_epoch_can_be_stored(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    away = [True]
    add = claims.add_epochs

    def add_or_fail(*arguments: Any, **named: Any) -> Any:
        if away[0]:
            raise outage()
        return add(*arguments, **named)

    def training(plan: Any, request: Any, data: Any, reporter: Reporter, folder: Path, **named: Any) -> Any:
        monkeypatch.setattr("worker.recorder._FLUSH_S", 0.0)
        measurement = made_up_training(plan, request, data, reporter, folder, **named)
        away[0] = False
        return measurement

    monkeypatch.setattr(claims, "add_epochs", add_or_fail)
    monkeypatch.setattr(search.training.trial, "run_trial", training)
    job_id = bench.submit(budget={"trials": 1}, training={"epochs": 4, "batch_size": 64})
    bench.work()
    (trial,) = rows(bench, job_id)
    assert (trial.status, trial.attempt, trial.epochs_done) == (TrialStatus.DONE, 1, 4)
    with bench.database.reading() as session:
        assert [epoch.epoch for epoch in trials.epochs(session, trial)] == [0, 1, 2, 3]


# --- restarts and clocks ---------------------------------------------------------------------------------------------


def claimed(bench: Bench, worker: str, lease_s: float = 60.0) -> str:
    """A job whose only trial a worker is running."""
    job_id = bench.submit(budget={"trials": 1})
    bench.step()
    bench.queue.messages.clear()
    with bench.database.transaction() as session:
        assert claims.claim_next(session, 0, worker=worker, lease=timedelta(seconds=lease_s))
    return job_id


def test_orderly_restarts_cost_no_attempt(bench: Bench) -> None:
    job_id = claimed(bench, bench.runtime.worker)
    for _ in range(5):
        abandoned.give_back(bench.runtime, "its worker was stopped")
        with bench.database.transaction() as session:
            claims.claim_next(session, 0, worker=bench.runtime.worker, lease=timedelta(seconds=60))
    (trial,) = rows(bench, job_id)
    assert (trial.status, trial.attempts_before) == (TrialStatus.RUNNING, 5)
    with bench.database.reading() as session:
        outcomes = [attempt.outcome for attempt in trials.attempts(session, trial)]
    assert outcomes == [AttemptOutcome.RELEASED] * 5 + [None]


def test_a_process_is_known_whatever_the_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    import psutil

    name = worker_name(os.getpid())
    created = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: created(process) + 7200.0)
    assert worker_name(os.getpid()) == name
    assert not is_surely_dead(name)


@pytest.mark.parametrize("name", ["host/1/0", "nonsense", "", "a/b/c/d", "/1/"])
def test_nothing_is_known_of_other_hosts_and_odd_names(name: str) -> None:
    assert not is_surely_dead(name)


def test_a_process_that_is_gone_is_dead_and_so_is_one_whose_id_was_taken_over() -> None:
    import os
    import subprocess

    process = subprocess.Popen(["true"])
    name = worker_name(process.pid)
    process.wait()
    assert is_surely_dead(name)
    mine = worker_name(os.getpid())
    assert is_surely_dead(f"{mine}1")
    host, pid, start = mine.rsplit("/", 2)
    assert not is_surely_dead(f"{host}/{pid}/0000{start}"), "of another boot nothing is known"


def set_clock(bench: Bench, by: timedelta) -> None:
    """Move what the database remembers, as if its clock had been set by so much the other way."""
    with bench.database.transaction() as session:
        row = session.get_one(Sweep, 1)
        row.began_at, row.calm_since = row.began_at - by, row.calm_since - by
        for trial in session.query(Trial).filter(Trial.status == TrialStatus.RUNNING):
            assert trial.lease_until is not None
            trial.lease_until -= by


@pytest.mark.parametrize("step_s", [2, -2, 600, -600, 7 * 86_400])
def test_a_step_of_the_clock_takes_no_trial_back(bench: Bench, step_s: int) -> None:
    bench.settings.__dict__["sweep"] = timedelta(0)
    job_id = claimed(bench, "elsewhere/1/0")
    for _ in range(3):
        assert sweep_in_turn(bench.runtime)
    set_clock(bench, timedelta(seconds=step_s))
    assert sweep_in_turn(bench.runtime)
    assert [(row.status, row.attempt) for row in rows(bench, job_id)] == [("running", 1)]


def test_silence_counts_once_sweeps_have_followed_one_another_for_a_while(bench: Bench) -> None:
    bench.settings.__dict__["sweep"] = timedelta(0)
    job_id = claimed(bench, "elsewhere/1/0", lease_s=-5)
    sweep_in_turn(bench.runtime)
    assert [row.status for row in rows(bench, job_id)] == ["running"], "nobody swept before: it may be alive"
    with bench.database.transaction() as session:
        session.get_one(Sweep, 1).calm_since -= timedelta(hours=1)
    sweep_in_turn(bench.runtime)
    (trial,) = rows(bench, job_id)
    assert (trial.status, trial.attempts_before) == (TrialStatus.QUEUED, 0)


def test_a_lease_that_expired_while_nobody_swept_is_no_attempt(bench: Bench) -> None:
    bench.settings.__dict__["sweep"] = timedelta(0)
    job_id = claimed(bench, "elsewhere/1/0", lease_s=-500)
    sweep_in_turn(bench.runtime)
    with bench.database.transaction() as session:
        session.get_one(Sweep, 1).calm_since = now() - timedelta(seconds=400)
    sweep_in_turn(bench.runtime)
    (trial,) = rows(bench, job_id)
    assert (trial.status, trial.attempts_before) == (TrialStatus.QUEUED, 1)


def test_one_worker_at_a_time_has_the_turn_to_sweep(bench: Bench) -> None:
    interval = timedelta(seconds=5)
    with bench.database.transaction() as session:
        assert sweeps.begin(session, worker="one", interval=interval)
        assert not sweeps.begin(session, worker="two", interval=interval)
        assert sweeps.is_late(session, interval)
        sweeps.end(session)
        assert not sweeps.is_late(session, interval)
        ended_at = sweeps.last_ended(session)
        assert ended_at is not None
        assert ended_at <= database_now(session)


def test_extended_jobs_are_swept_like_others(bench: Bench) -> None:
    job_id = bench.submit(budget={"trials": 1})
    bench.work()
    with bench.database.transaction() as session:
        spec = jobs.get(session, job_id).spec
        job_actions.extend(session, job_id, spec | {"budget": spec["budget"] | {"trials": 2}})
    bench.settings.__dict__["resend"] = timedelta(seconds=-1)
    live(bench, job_id)
    assert [row.status for row in rows(bench, job_id)] == ["done", "done"]


@pytest.mark.parametrize("ahead_s", [-7200, 7200])
def test_a_machine_whose_clock_is_wrong_silences_no_row(bench: Bench, ahead_s: int) -> None:
    job_id = bench.submit(budget={"trials": 3}, parallel_trials=3)
    wrong = now() + timedelta(seconds=ahead_s)
    for table, column, task in (
        (Job, "checked_at", TaskName.ADVANCE_JOB),
        (Trial, "enqueued_at", TaskName.RUN_TRIAL),
    ):
        with bench.database.transaction() as session:
            session.execute(update(table).values(**{column: wrong}))
        bench.queue.messages.clear()  # what was sent is lost
        sweep(bench.runtime)
        assert {sent for sent, _ in bench.queue.messages} == {task}
        count = len(bench.queue.messages)
        sweep(bench.runtime)
        assert len(bench.queue.messages) == count, "sent again before its time"
        bench.step()
    with bench.database.reading() as session:
        assert len(trials.page(session, job_id, limit=9)) == 3
