"""A tenant whose trials have had all the time of workers that they may have: its jobs end with what they have."""

from __future__ import annotations

from search.history import Cause, JobStatus
from service.auth import keys
from service.auth.keys import TenantLimits
from service.queue import TaskName
from service.store import jobs
from tests.worker.conftest import Bench


def test_a_job_under_way_ends_with_what_it_has(bench: Bench) -> None:
    job_id = bench.submit(budget={"trials": 6}, parallel_trials=1)
    while bench.step() is not TaskName.RUN_TRIAL:
        pass
    with bench.database.transaction() as session:
        keys.set_limits(session, "local", TenantLimits(max_compute_s=0.0))
    bench.work()
    with bench.database.reading() as session:
        job = jobs.get(session, job_id)
        counted = jobs.trial_counts(session, [job_id])[job_id]
    assert (job.status, job.cause) == (JobStatus.DONE, Cause.QUOTA)
    assert "quota" in str(job.reason)
    assert sum(counted.values()) == 1
