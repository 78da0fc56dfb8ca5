"""What a process keeps of a job between its trials is renewed when the job changes."""

from __future__ import annotations

from typing import Any

from search.plan import Plan
from service.store import jobs
from service.store.models import Job
from tests.worker.conftest import Bench
from worker import preparation
from worker.final_training import final_spec


def stored(bench: Bench, **changes: Any) -> Job:
    job_id = bench.submit(**changes)
    with bench.database.reading() as session:
        return jobs.get(session, job_id)


def plan_of(bench: Bench, job: Job) -> Plan:
    return preparation.plan(bench.runtime, job.id, preparation.specification(job))


def test_a_job_is_read_and_planned_once(bench: Bench) -> None:
    job = stored(bench)
    assert preparation.specification(job) is preparation.specification(job)
    assert plan_of(bench, job) is plan_of(bench, job)


def test_a_changed_job_is_read_and_planned_anew(bench: Bench) -> None:
    job = stored(bench, budget={"trials": 3})
    assert plan_of(bench, job).spec.budget.trials == 3
    job.spec = {**job.spec, "budget": {"trials": 5}}
    assert preparation.specification(job).budget.trials == 5
    assert plan_of(bench, job).spec.budget.trials == 5


def test_a_final_training_does_not_change_the_plan_of_the_trials(bench: Bench) -> None:
    job = stored(bench, training={"epochs": 1, "batch_size": 64, "executions": 3})
    spec = final_spec(preparation.specification(job))
    assert preparation.plan(bench.runtime, job.id, spec).spec.training.executions == 1
    assert plan_of(bench, job).spec.training.executions == 3


def test_jobs_of_one_specification_have_their_own_plans_and_share_their_data(bench: Bench) -> None:
    one, other = (plan_of(bench, stored(bench)) for _ in range(2))
    assert one is not other
    data = [preparation.dataset(bench.runtime, plan) for plan in (one, other)]
    assert data[0] is data[1]


def test_another_seed_draws_other_parts(bench: Bench) -> None:
    data = [preparation.dataset(bench.runtime, plan_of(bench, stored(bench, seed=seed))) for seed in (1, 2)]
    assert data[0] is not data[1]
