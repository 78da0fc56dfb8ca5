"""SIGTERM to a worker: the trial under way is finished or given back."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from search.history import TrialStatus
from service.cli.serving import worker_command
from service.queue import Queue, TaskName
from service.store import jobs, trials
from service.store.models import Trial
from service.store.session import Database
from tests.worker.conftest import Bench

ROOT = Path(__file__).parents[2]


def eventually(fact: Callable[[], bool], process: subprocess.Popen[bytes], within_s: float = 120.0) -> None:
    """Wait for a fact; a worker that ends before is an error."""
    deadline = time.monotonic() + within_s
    while not fact():
        assert process.poll() is None, "the worker ended"
        assert time.monotonic() < deadline
        time.sleep(0.1)


def trial_of(database: Database, job_id: str) -> Trial | None:
    with database.reading() as session:
        rows = trials.page(session, job_id, limit=1)
    return rows[0] if rows else None


def test_a_worker_in_any_folder_that_is_told_to_stop_gives_its_trial_back(
    bench: Bench, tmp_path: Path, shadows: Path
) -> None:
    job_id = bench.submit(training={"epochs": 5000, "batch_size": 8}, budget={"trials": 1})
    settings = bench.settings
    queue = Queue(settings)
    queue.send(TaskName.ADVANCE_JOB, job_id)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FEWBITS_")}
    environment |= {"FEWBITS_HOME": str(settings.home), "FEWBITS_LOG_FORMAT": "json", "PYTHONPATH": str(ROOT)}
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            worker_command(1),
            env=environment,
            cwd=shadows,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:

        def is_training() -> bool:
            trial = trial_of(bench.database, job_id)
            return trial is not None and trial.epochs_done > 0

        eventually(is_training, process)
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    trial = trial_of(bench.database, job_id)
    assert trial is not None
    assert trial.status == TrialStatus.QUEUED, log.read_text()
    assert trial.lease_until is None
    with bench.database.reading() as session:
        assert jobs.get(session, job_id).status == "running"
