"""A worker's runtime without a broker: what would be sent is kept in a list and done by the test."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from search.plans.kinds import plan
from search.spec.job import SearchSpec
from service.processes.limits import Limits
from service.queue import TaskName
from service.settings import Settings
from service.store import jobs
from service.store.blobs import BlobStore
from service.store.planned import planned_job
from service.store.references import BlobLookup
from service.store.session import Database, on_commit
from tests.databases import migrate
from worker import advance, export, final_report, final_training, preparation, sweep, tasks
from worker.identity import worker_name
from worker.job_processes import JobProcesses
from worker.runtime import Runtime


class ListQueue:
    """A queue that keeps its messages."""

    def __init__(self) -> None:
        self.messages: deque[tuple[TaskName, tuple[str | int, ...]]] = deque()

    def enqueue(self, task: TaskName, *ids: str | int) -> None:
        on_commit(lambda: self.send(task, *ids))

    def send(self, task: TaskName, *ids: str | int) -> bool:
        self.messages.append((task, ids))
        return True


class Bench:
    """A runtime, and the means to do what its queue holds."""

    def __init__(
        self, home: Path, *, resend_s: float = 20, max_attempts: int = 3, database: Database | None = None
    ) -> None:
        import os

        self.settings = Settings(
            home=home,
            lease=timedelta(seconds=60),
            heartbeat=timedelta(seconds=30),
            resend=timedelta(seconds=resend_s),
            max_attempts=max_attempts,
        )
        self.database = database or Database(self.settings.database)
        migrate(self.database.engine)
        self.queue = ListQueue()
        self.runtime = Runtime(
            settings=self.settings,
            database=self.database,
            queue=self.queue,  # type: ignore[arg-type]
            blobs=BlobStore(self.settings.blob_folder),
            worker=worker_name(os.getpid()),
        )

    def submit(self, **changes: Any) -> str:
        """Store a job as the API does."""
        spec = SearchSpec.model_validate(tiny_job() | changes)
        checked = plan(spec, self.settings.data_folder, BlobLookup(self.runtime.blobs))
        with self.database.transaction() as session:
            job = jobs.create(session, planned_job(checked))
            self.queue.enqueue(TaskName.ADVANCE_JOB, job.id)
        return job.id

    def work(self, limit: int = 1000) -> None:
        """Do what the queue holds, in order, until it is empty."""
        for _ in range(limit):
            if not self.queue.messages:
                return
            self.step()
        raise AssertionError(f"the queue is not empty after {limit} messages")

    def step(self) -> TaskName:
        """Do the first message."""
        task, ids = self.queue.messages.popleft()
        DO[task](self.runtime, *ids)
        return task


DO: dict[TaskName, Any] = {
    TaskName.ADVANCE_JOB: advance.advance_job,
    TaskName.RUN_TRIAL: tasks.run_trial,
    TaskName.WRITE_REPORT: final_report.write_report,
    TaskName.RUN_FINAL_TRAINING: final_training.run_final_training,
    TaskName.MAKE_EXPORT: export.make_export,
    TaskName.SWEEP: sweep.sweep,
}


def tiny_job() -> dict[str, Any]:
    """Two trials of one epoch of a jet tagger on 16 numbers."""
    return {
        "name": "tiny",
        "model": "jet_mlp",
        "data": {"kind": "npz", "file": "tiny.npz", "preprocessing": "none"},
        "limits": {"by_class": {"Dense": [8, 8, 4], "Activation": [4]}},
        "training": {"epochs": 1, "batch_size": 64},
        "budget": {"trials": 2},
        "seed": 7,
    }


def write_data(
    folder: Path,
    name: str = "tiny.npz",
    poison: float | None = None,
    poisoned: tuple[str, ...] = ("train", "test"),
) -> None:
    """Five separable classes of 16 numbers; with `poison` every example of the `poisoned` parts holds that value."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(5, 16))
    parts = {}
    for part, count in (("train", 300), ("test", 100)):
        labels = np.arange(count) % 5
        x = (centres[labels] + 0.3 * random.normal(size=(count, 16))).astype("float32")
        if poison is not None and part in poisoned:
            x[:, 0] = poison
        parts |= {f"x_{part}": x, f"y_{part}": labels.astype("int64")}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / name, **parts)


def processes_used(settings: Settings, messages: int, megabytes: int) -> int:
    """How many processes a worker forks for the messages of one job."""
    template, runtime = MagicMock(), MagicMock(settings=settings)
    session = runtime.database.reading.return_value.__enter__.return_value
    session.scalar.return_value = None  # no other job waits to begin
    asked = SimpleNamespace(cores=0, memory_mb=0, accelerators=0)  # the job asks for nothing
    session.execute.return_value.first.return_value = asked
    session.scalars.return_value = ()
    runtime.capacity = None
    process = template.fork.return_value
    process.memory_bytes = megabytes << 20
    process.receive.return_value = ({"done": True}, b"")
    processes = JobProcesses(template, Limits())
    for _ in range(messages):
        processes.run(runtime, TaskName.ADVANCE_JOB, "0123456789abcdef")
    return int(template.fork.call_count)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A worker without a broker, on an empty database, with data."""
    worker_bench = Bench(tmp_path)
    write_data(worker_bench.settings.data_folder)
    preparation.clear()
    yield worker_bench
    worker_bench.database.dispose()
