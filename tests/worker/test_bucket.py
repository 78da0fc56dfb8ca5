"""Workers on several machines whose files are in a bucket: one goes on from what another has stored there.

The bucket is moto's server of the S3 protocol. Trainings are made up, in a search whose trials go on from other ones.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import search.training.evaluate
import search.training.trial
from search.history import JOB_ENDED, JobStatus, TrialStatus
from search.trial_files import REPORT_FILE
from service.queue import TaskName
from service.store import jobs, trials
from service.store import session as store_session
from service.store.blob_stores import open_blobs
from tests.worker.conftest import DO, Bench
from tests.worker.lives import made_up_test, made_up_training
from worker.runtime import Runtime
from worker.sweep import sweep

if TYPE_CHECKING:
    from tests.s3_server import S3Server

HYPERBAND = {
    "training": {"epochs": 4, "batch_size": 64},
    "oracle": {"kind": "hyperband", "max_epochs": 4, "factor": 2},
    "budget": {"trials": 8},
}


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    pytest.importorskip("moto", reason="moto is not installed")
    pytest.importorskip("boto3", reason="the extra s3 is not installed")
    from tests.s3_server import S3Server

    with S3Server() as server:
        yield server


@pytest.fixture
def machines(
    server: S3Server, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Runtime]:
    """Two machines with a cache each, which share the bench's database and queue, and an empty bucket."""
    for name, value in (("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=lambda _: None))
    monkeypatch.setattr(store_session.time, "sleep", lambda _: None)
    monkeypatch.setattr("worker.backoff._PAUSE_S", 0.0)
    monkeypatch.setattr(search.training.trial, "run_trial", made_up_training)
    monkeypatch.setattr(search.training.evaluate, "evaluate_file", made_up_test)
    server.reset()
    server.create("shared")
    runtimes = {}
    bench.settings.__dict__["resend"] = timedelta(seconds=-1)
    for name in ("one", "two"):
        place = {"blobs": "s3://shared/jobs", "blobs_endpoint": server.url, "blob_dir": tmp_path / name}
        settings = bench.settings.model_copy(update=place)
        runtimes[name] = replace(bench.runtime, settings=settings, blobs=open_blobs(settings))
    return runtimes


def work(bench: Bench, turns: Iterator[Runtime]) -> list[TaskName]:
    """Do what the queue holds, one message on one machine and the next on the other; what was done."""
    done = []
    while bench.queue.messages:
        task, ids = bench.queue.messages.popleft()
        done.append(task)
        DO[task](next(turns), *ids)
    return done


def rows(bench: Bench, job_id: str) -> list[Any]:
    with bench.database.reading() as session:
        return list(trials.page(session, job_id, limit=100))


def has_ended(bench: Bench, job_id: str) -> bool:
    with bench.database.reading() as session:
        return jobs.get(session, job_id).status in JOB_ENDED


def test_a_search_runs_on_machines_that_share_only_rows_and_a_bucket(
    server: S3Server, bench: Bench, machines: dict[str, Runtime], tmp_path: Path
) -> None:
    job_id = bench.submit(**HYPERBAND)
    done = work(bench, itertools.cycle(machines.values()))
    assert done.count(TaskName.RUN_TRIAL) >= 8
    with bench.database.reading() as session:
        job = jobs.get(session, job_id)
        files = {
            row.number: {artifact.name: artifact.sha256 for artifact in trials.artifacts(session, row)}
            for row in trials.page(session, job_id, limit=100)
        }
    assert (job.status, job.reason) == (JobStatus.DONE, "all 8 trials are done")
    assert any(row.parent is not None for row in rows(bench, job_id)), "no trial went on from another"
    stored = set(machines["one"].blobs.addresses())
    assert {sha256 for addresses in files.values() for sha256 in addresses.values()} <= stored
    report = machines["two"].blobs.path(files[job.best_trial or 0][REPORT_FILE])
    assert json.loads(report.read_text())
    assert not [path for path in bench.settings.blob_folder.rglob("*") if path.is_file()], "beside the bucket"


@pytest.mark.parametrize("refusals", [5, 40])
def test_a_bucket_that_is_down_for_a_while_costs_no_trial(
    server: S3Server, bench: Bench, machines: dict[str, Runtime], refusals: int
) -> None:
    """At every other message: a result is stored, the model of another trial fetched, a report made."""
    job_id = bench.submit(**HYPERBAND)
    turns = itertools.cycle(machines.values())
    is_up = itertools.cycle((True, False, False, True, True))
    for _ in range(60):
        while bench.queue.messages:
            task, ids = bench.queue.messages.popleft()
            server.reset()
            server.fail(503, times=0 if next(is_up) else refusals)
            DO[task](next(turns), *ids)
        server.reset()
        if has_ended(bench, job_id):
            break
        sweep(machines["one"])
    with bench.database.reading() as session:
        job = jobs.get(session, job_id)
    assert (job.status, job.reason) == (JobStatus.DONE, "all 8 trials are done")
    assert {row.status for row in rows(bench, job_id)} == {TrialStatus.DONE}
    assert {row.attempt - row.attempts_before for row in rows(bench, job_id)} == {1}
