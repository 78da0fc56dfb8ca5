"""Jobs and trials to test the store with."""

from __future__ import annotations

from datetime import timedelta

import pytest

from costmodel.layer_energy import LayerEnergy
from quantization.specs.parse import parse_quantizer
from search.history import Assignment, Cost, Measurement, NewTrial
from service.store import claims, jobs, trials
from service.store.jobs import NewJob
from service.store.leases import Claim
from service.store.session import Database

LEASE = timedelta(seconds=60)


def new_job(name: str = "a job") -> NewJob:
    """A job as the API stores it."""
    return NewJob(
        name=name,
        spec={"model": {"kind": "zoo", "name": "digits_cnn"}},
        cost_unit="energy_pj",
        reference_cost=1000.0,
        reference={"energy_pj": 1000.0},
        space_size=str(10**30),
        warnings=["a warning"],
    )


def new_trial(number: int) -> NewTrial:
    """A proposed trial."""
    kernel = parse_quantizer("quantized_bits(4,0,1,alpha=1.0)")
    assignment = Assignment(
        values={"dense.kernel": str(kernel), "n": number}, quantizers={"dense": {"kernel": kernel}}
    )
    return NewTrial(number, assignment, {"status": "RUNNING"}, seed=number)


def measurement(metric: float = 0.9, cost: float = 100.0) -> Measurement:
    """What a trial achieved."""
    layer = LayerEnergy("dense", "QDense", 1.0, 2.0, 3.0, 4.0, ("parameters", "operations"))
    return Measurement(
        metric=metric,
        loss=0.1,
        cost=Cost(value=cost, energy_pj=cost, bits=2**40, layers=(layer,)),
        durations_s={"train": 1.5},
        best_epoch=2,
    )


@pytest.fixture
def job_id(database: Database) -> str:
    """A stored job."""
    with database.transaction() as session:
        return jobs.create(session, new_job()).id


@pytest.fixture
def trial_id(database: Database, job_id: str) -> int:
    """A queued trial."""
    with database.transaction() as session:
        return trials.add(session, job_id, [new_trial(0)])[0]


@pytest.fixture
def claim(database: Database, trial_id: int) -> Claim:
    """A trial claimed by a worker."""
    with database.transaction() as session:
        claimed = claims.claim_next(session, trial_id, worker="host/1/0", lease=LEASE)
    assert claimed is not None
    return claimed
