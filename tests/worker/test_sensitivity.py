"""The sensitivity of a job: measured once, before its first trials; the search goes on from it."""

from __future__ import annotations

from typing import Any

import pytest

from search.errors import Diverged, InvalidSpec
from search.history import JobStatus
from service.queue import TaskName
from service.store import jobs, sensitivities, trials
from service.store.leases import Watch
from service.store.models import Job
from tests.worker.conftest import Bench
from worker import sensitivity


def read(bench: Bench, job_id: str) -> Job:
    with bench.database.reading() as session:
        return jobs.get(session, job_id)


def test_a_search_by_sensitivity_measures_it_first_and_ends(bench: Bench) -> None:
    job_id = bench.submit(oracle="sensitivity", budget={"trials": 2})
    bench.work()
    job = read(bench, job_id)
    assert job.status == JobStatus.DONE, job.reason
    assert job.sensitivity is not None
    assert job.float_metric == job.sensitivity["metric"]
    divergences = job.sensitivity["divergences"]["fc1.kernel"]
    assert len(divergences) > 3
    assert divergences["binary()"] > divergences["quantized_bits(8,0,1,alpha=1.0)"] >= 0
    with bench.database.reading() as session:
        assert len(trials.page(session, job_id, limit=10)) == 2


def test_frugal_measures_it_only_where_it_starts_from_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []
    monkeypatch.setattr(sensitivity, "_measured", lambda _, job_id, *__: measured.append(job_id) or {})
    bench.submit(oracle="frugal")
    bench.step()
    assert measured == []
    job_id = bench.submit(oracle={"kind": "frugal", "initial": "sensitivity"})
    with pytest.raises(KeyError):  # the measurement is made up: it holds nothing to propose by
        bench.queue.messages.clear()
        _advance_once(bench, job_id)
    assert measured == [job_id]


def _advance_once(bench: Bench, job_id: str) -> None:
    from worker.advance import _advance

    _advance(bench.runtime, job_id)


def test_only_one_worker_measures_and_a_dead_one_is_replaced(bench: Bench) -> None:
    job_id = bench.submit(oracle="sensitivity")
    lease = bench.settings.lease
    with bench.database.transaction() as session:
        assert sensitivities.claim(session, job_id, worker="nobody:1", lease=lease)
    with bench.database.transaction() as session:
        assert not sensitivities.claim(session, job_id, worker=bench.runtime.worker, lease=lease)
        assert not sensitivities.renew(session, job_id, worker=bench.runtime.worker, lease=lease)
    with bench.database.transaction() as session:
        stalled = jobs.stalled(session, jobs.now(), Watch(lambda worker: worker == "nobody:1"))
    assert [stalled_id for stalled_id, _ in stalled] == [job_id]
    with bench.database.transaction() as session:
        assert sensitivities.claim(session, job_id, worker=bench.runtime.worker, lease=lease)


def test_a_job_that_is_cancelled_meanwhile_keeps_no_measurement(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = bench.submit(oracle="sensitivity")

    def cancelled(*_: Any) -> dict[str, Any]:
        with bench.database.transaction() as session:
            jobs.locked(session, job_id).status = JobStatus.CANCELLING
            bench.queue.enqueue(TaskName.ADVANCE_JOB, job_id)
        return {}

    monkeypatch.setattr(sensitivity, "_measured", cancelled)
    bench.work()
    job = read(bench, job_id)
    assert (job.status, job.sensitivity) == (JobStatus.CANCELLED, None)


def test_a_float_model_that_diverges_fails_the_job_with_the_reason(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverged(*_: Any) -> dict[str, Any]:
        raise Diverged("the loss became nan")

    monkeypatch.setattr(sensitivity, "_measured", diverged)
    job_id = bench.submit(oracle="sensitivity")
    for _ in range(bench.settings.max_attempts):
        bench.queue.send(TaskName.ADVANCE_JOB, job_id)
        bench.work()
    job = read(bench, job_id)
    assert job.status == JobStatus.FAILED
    assert "the loss became nan" in (job.reason or "")
    assert job.lease_until is None


def test_a_spiking_job_has_no_layers_to_measure() -> None:
    from search.plans.spiking import spiking_problems
    from search.spec.job import SearchSpec

    spec = SearchSpec.model_validate(
        {
            "model": {"kind": "xylo", "name": "spiking_digits"},
            "data": "spiking_digits",
            "oracle": "sensitivity",
        }
    )
    assert "/oracle" in [problem.pointer for problem in spiking_problems(spec)]
    assert InvalidSpec(spiking_problems(spec)).problems
