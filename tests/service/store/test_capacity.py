"""Workers of different kinds: a trial begins where there is what its job asks for, and tenants share the workers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.orm import Session

from search.history import TrialStatus
from service.auth import keys
from service.store import capacity, claims, jobs, trials, workers
from service.store.capacity import Capacity, Request
from service.store.leases import Claim
from service.store.models import Job, Trial
from service.store.session import Database
from tests.service.store.conftest import LEASE, new_job, new_trial

HEARTBEAT = timedelta(seconds=30)
PLENTY = Capacity(cores=64, memory_mb=10**6, accelerators=8, extras=("large", "lab"))

_EXTRAS = st.lists(st.sampled_from(["lab", "large", "o'brien-1"]), max_size=2, unique=True).map(
    lambda names: tuple(sorted(names))
)
_NUMBERS = {"cores": st.integers(0, 3), "memory_mb": st.integers(0, 3), "accelerators": st.integers(0, 2)}


def job(
    session: Session, resources: dict[str, Any] | None = None, *, trial_count: int = 1, **columns: Any
) -> str:
    """A job with queued trials that may all run at once."""
    new = new_job()
    spec = new.spec | {"parallel_trials": 100, "resources": resources or {}}
    stored = jobs.create(session, replace(new, spec=spec))
    session.execute(update(Job).where(Job.id == stored.id).values(**columns or {"priority": 0}))
    trials.add(session, stored.id, [new_trial(number) for number in range(trial_count)])
    return stored.id


def claim(session: Session, has: Capacity | None = PLENTY, **options: Any) -> Claim | None:
    return claims.claim_next(session, 0, worker="host/1/0", lease=LEASE, capacity=has, **options)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    request=st.builds(Request, **_NUMBERS, extras=_EXTRAS),
    has=st.builds(Capacity, **_NUMBERS, extras=_EXTRAS),
)
def test_a_trial_is_claimed_where_its_job_fits(database: Database, request: Request, has: Capacity) -> None:
    class _Undone(Exception):
        pass

    resources = {"cores": request.cores, "memory_mb": request.memory_mb, "accelerators": request.accelerators}
    with pytest.raises(_Undone), database.transaction() as session:
        job_id = job(session, resources | {"extras": request.extras})
        assert capacity.request_of(session, job_id) == request
        assert claims.next_job(session, 0, has) == (job_id if request.fits(has) else None)
        assert (jobs.first_unstarted(session, job(session, priority=-1), has) == job_id) == request.fits(has)
        claimed = claim(session, has)
        assert (claimed is not None and claimed.job_id == job_id) == request.fits(has)
        raise _Undone


def test_a_job_that_asks_for_nothing_runs_everywhere(database: Database) -> None:
    with database.transaction() as session:
        job(session, None)
        assert claim(session, Capacity(cores=1, memory_mb=1)) is not None


@pytest.mark.parametrize(("weights", "shares"), [((1, 1), (6, 6)), ((2, 1), (8, 4)), ((3, 1), (9, 3))])
@pytest.mark.parametrize("slots", [1, 4, 12])
def test_tenants_share_the_workers_by_weight(
    database: Database, slots: int, weights: tuple[int, int], shares: tuple[int, int]
) -> None:
    """Whoever came first, and however many jobs of whatever priority they have."""
    with database.transaction() as session:
        for tenant, weight in zip(("acme", "bell"), weights, strict=True):
            keys.set_weight(session, tenant, weight)
        for _ in range(3):
            job(session, trial_count=20, tenant="acme", priority=50)
        job(session, trial_count=20, tenant="bell")
        begun: Counter[str] = Counter()
        running: list[Claim] = []
        for _ in range(12):
            if len(running) == slots:
                claims.end(session, running.pop(0), TrialStatus.CANCELLED, "ended")
            claimed = claim(session)
            assert claimed is not None
            running.append(claimed)
            begun[session.get_one(Job, claimed.job_id).tenant] += 1
    assert abs(begun["acme"] - shares[0]) <= 1
    assert begun.total() == 12


def test_a_tenant_that_was_away_has_nothing_to_make_up_for(database: Database) -> None:
    with database.transaction() as session:
        for tenant in ("acme", "bell"):
            keys.set_weight(session, tenant, 1)
        job(session, trial_count=40, tenant="acme")
        for _ in range(20):
            claimed = claim(session)
            assert claimed is not None
            claims.end(session, claimed, TrialStatus.CANCELLED, "ended")
        job(session, trial_count=20, tenant="bell")
        begun = []
        for _ in range(8):
            claimed = claim(session)
            assert claimed is not None
            begun.append(session.get_one(Job, claimed.job_id).tenant)
            claims.end(session, claimed, TrialStatus.CANCELLED, "ended")
    assert Counter(begun) == {"acme": 4, "bell": 4}


def test_the_process_of_a_job_leaves_the_turn_to_another_tenant(database: Database) -> None:
    with database.transaction() as session:
        for tenant in ("acme", "bell"):
            keys.set_weight(session, tenant, 1)
        mine = job(session, trial_count=3, tenant="acme")
        job(session, trial_count=3, tenant="bell")
        assert claim(session, job_id=mine) is not None
        assert claim(session, job_id=mine) is None


def test_what_no_living_worker_has_is_named_with_the_remedy(database: Database) -> None:
    with database.transaction() as session:
        assert capacity.unmet(session, Request(cores=8), HEARTBEAT) is None
        workers.heartbeat(session, "one/1/0")
        capacity.declare(session, "one/1/0", Capacity(cores=4, memory_mb=8000, slots=2))
        workers.heartbeat(session, "two/1/0")
        capacity.declare(session, "two/1/0", Capacity(cores=2, memory_mb=16000, accelerators=1))
        assert capacity.unmet(session, Request(cores=4, memory_mb=8000), HEARTBEAT) is None
        most = capacity.unmet(session, Request(cores=8, accelerators=2, extras=("lab",)), HEARTBEAT) or ""
        together = capacity.unmet(session, Request(cores=4, accelerators=1), HEARTBEAT) or ""
    assert "8 cores for a trial (the most is 4), 2 accelerators (the most is 1), the extra lab" in most
    assert "FEWBITS_WORKER_EXTRAS" in most
    assert "all of `resources` at once" in together


def test_room_is_where_fewer_trials_run_than_a_fitting_worker_has_slots(database: Database) -> None:
    request = Request(accelerators=1)
    with database.transaction() as session:
        workers.heartbeat(session, "host/9/0")
        capacity.declare(session, "host/9/0", Capacity(cores=4, memory_mb=8000, accelerators=1, slots=1))
        workers.heartbeat(session, "other/9/0")
        capacity.declare(session, "other/9/0", Capacity(cores=4, memory_mb=8000, slots=8))
        assert capacity.has_free_slot(session, request, HEARTBEAT)
        job(session)
        assert claim(session) is not None
        assert not capacity.has_free_slot(session, request, HEARTBEAT)
        session.execute(update(Trial).values(worker="other/1/0"))
        assert capacity.has_free_slot(session, request, HEARTBEAT)
