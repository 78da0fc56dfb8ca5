"""A message wakes a worker that has what its job asks for; threads and memory of a trial are limited to that."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from service.queue import TaskName
from service.settings import Settings
from service.store import capacity, workers
from service.store.capacity import Capacity, Request
from service.store.models import Trial
from tests.worker.conftest import Bench, write_data
from worker.advance import advance_job
from worker.capacity import accelerator_count, capacity_of, limit_threads
from worker.matching import Work, work_of
from worker.runtime import Runtime

SMALL = Capacity(cores=1, memory_mb=4000)
LARGE = Capacity(cores=8, memory_mb=32_000, accelerators=1, extras=("lab",))
TASKS = (TaskName.ADVANCE_JOB, TaskName.RUN_TRIAL)


@pytest.fixture
def large_job(bench: Bench) -> str:
    """A job with a queued trial that asks for an accelerator."""
    write_data(bench.settings.data_folder)
    job_id = bench.submit(resources={"accelerators": 1, "extras": ["lab"]})
    bench.step()
    return job_id


def small(bench: Bench) -> Runtime:
    return replace(bench.runtime, capacity=SMALL)


def trial_id(bench: Bench) -> int:
    with bench.database.reading() as session:
        return session.scalars(select(Trial.id).order_by(Trial.id)).first() or 0


def live_large_worker(bench: Bench) -> None:
    with bench.database.transaction() as session:
        workers.heartbeat(session, "elsewhere/1/0")
        capacity.declare(session, "elsewhere/1/0", LARGE)


def message(bench: Bench, job_id: str, task: TaskName) -> str | int:
    return job_id if task is TaskName.ADVANCE_JOB else trial_id(bench)


@pytest.mark.parametrize("task", TASKS)
def test_a_worker_passes_on_what_another_one_has_room_for(
    bench: Bench, large_job: str, task: TaskName
) -> None:
    named = message(bench, large_job, task)
    assert work_of(small(bench), task, named) == Work()
    live_large_worker(bench)
    assert work_of(small(bench), task, named) == Work(passes_on=named)


@pytest.mark.parametrize("task", TASKS)
def test_a_worker_that_has_what_a_job_asks_for_does_its_work(
    bench: Bench, large_job: str, task: TaskName
) -> None:
    work = work_of(replace(bench.runtime, capacity=LARGE), task, message(bench, large_job, task))
    assert work.job is not None
    assert work.job.request == Request(accelerators=1, extras=("lab",))


def test_a_small_worker_takes_the_next_job_that_fits(bench: Bench, large_job: str) -> None:
    other = bench.submit()
    advance_job(bench.runtime, other)
    work = work_of(small(bench), TaskName.RUN_TRIAL, trial_id(bench))
    assert work.job is not None
    assert work.job.id == other


def test_a_worker_declares_what_settings_say_or_what_is_there(tmp_path: Path) -> None:
    stated = Settings(
        home=tmp_path, worker_cores=3, worker_accelerators=2, worker_extras=" lab,big ", trial_memory_mb=900
    )
    assert capacity_of(stated, 4) == Capacity(3, 900, 2, ("big", "lab"), 4)
    by_machine = capacity_of(Settings(home=tmp_path), 1)
    assert by_machine.cores == len(os.sched_getaffinity(0))
    assert by_machine.memory_mb >= 2048


@pytest.mark.parametrize(
    ("names", "visible", "count"),
    [
        (["nvidia0", "nvidia1", "nvidiactl"], None, 2),
        (["nvidia0", "nvidia1"], "1", 1),
        (["nvidia0"], "-1", 0),
        (["accel0", "accel1"], None, 2),
        (["dri/renderD128", "kfd"], None, 1),
        (["dri/renderD128"], None, 0),
        (["null"], None, 0),
    ],
)
def test_accelerators_are_counted_by_their_devices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], visible: str | None, count: int
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert accelerator_count(tmp_path) == count


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_threads_are_limited_in_the_process_of_a_job(backend: str) -> None:
    """In a fork: the limits of a process last as long as it does."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.environ["KERAS_BACKEND"] = backend
        limit_threads(1)
        os.write(writing, f"{os.environ['TF_NUM_INTRAOP_THREADS']} {len(os.sched_getaffinity(0))}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    threads, cores = map(int, os.read(reading, 100).split())
    os.close(reading)
    os.close(writing)
    assert threads == 1
    assert cores == (1 if backend == "jax" else len(os.sched_getaffinity(0)))
