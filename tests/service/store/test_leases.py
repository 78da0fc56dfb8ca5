"""The rules of leases, for trials and final trainings alike."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from search.history import TrialStatus
from service.store import claims, final_trainings, trials
from service.store.blobs import Blob
from service.store.leases import Claim, Watch
from service.store.models import Queued
from service.store.session import Database
from tests.service.store.conftest import LEASE, measurement

EXPIRED = timedelta(seconds=-1)

ClaimNext = Callable[[timedelta], Claim | None]


@pytest.fixture(params=["trial", "final training"])
def kind(request: pytest.FixtureRequest) -> str:
    """What is leased."""
    return str(request.param)


@pytest.fixture
def module(kind: str) -> Any:
    """The functions of the store for it."""
    return claims if kind == "trial" else final_trainings


@pytest.fixture
def claim_next(database: Database, trial_id: int, job_id: str, kind: str) -> ClaimNext:
    """Claim the one row that is queued."""
    if kind == "final training":
        with database.transaction() as session:
            claim = claims.claim_next(session, trial_id, worker="host/1/0", lease=LEASE)
            assert claim is not None
            files = {"model.keras": Blob("aa", 1)}
            assert claims.finish(session, claim, measurement(), artifacts=files, versions={})
            final_trainings.request(session, job_id, 0, 5)
    claim_first: Any = claims.claim_next if kind == "trial" else final_trainings.claim

    def claim_row(lease: timedelta) -> Claim | None:
        with database.transaction() as session:
            claimed: Claim | None = claim_first(session, trial_id, worker="host/2/0", lease=lease)
            return claimed

    return claim_row


def row_of(database: Database, job_id: str, kind: str) -> Queued:
    with database.reading() as session:
        read: Any = trials.get if kind == "trial" else final_trainings.get
        row: Queued = read(session, job_id, 0)
        return row


def test_a_row_is_claimed_by_one_worker(claim_next: ClaimNext) -> None:
    assert claim_next(LEASE) is not None
    assert claim_next(LEASE) is None


def test_a_claim_clears_what_the_attempt_before_left(
    database: Database, job_id: str, kind: str, module: Any, claim_next: ClaimNext
) -> None:
    with database.transaction() as session:
        module.release(session, claim_next(LEASE), "the disk is full", max_attempts=3)
    queued = row_of(database, job_id, kind)
    assert (queued.status, queued.reason, queued.lease_until) == ("queued", "the disk is full", None)
    assert claim_next(LEASE) is not None
    running = row_of(database, job_id, kind)
    assert (running.status, running.reason, running.attempt) == ("running", None, 2)
    assert running.worker == "host/2/0"


def test_the_last_attempt_ends_it(
    database: Database, job_id: str, kind: str, module: Any, claim_next: ClaimNext
) -> None:
    for status in (TrialStatus.QUEUED, TrialStatus.FAILED):
        with database.transaction() as session:
            module.release(session, claim_next(LEASE), "the worker died", max_attempts=2)
        assert row_of(database, job_id, kind).status == status
    ended = row_of(database, job_id, kind)
    assert (ended.reason, ended.lease_until) == ("the worker died (2 attempts)", None)
    assert ended.finished_at is not None


def test_an_old_attempt_changes_nothing(
    database: Database, job_id: str, kind: str, module: Any, claim_next: ClaimNext
) -> None:
    old = claim_next(EXPIRED)
    with database.transaction() as session:
        ((expired, _),) = module.expired(session, Watch(lambda _: False))
        assert expired == old
        module.release(session, old, "the worker died", max_attempts=3)
    new = claim_next(LEASE)
    with database.transaction() as session:
        assert module.expired(session, Watch(lambda _: False)) == []
        assert module.expired(session, Watch(lambda worker: worker == "host/2/0")) == [(new, True)]
        module.release(session, old, "late", max_attempts=3)
    row = row_of(database, job_id, kind)
    assert (row.status, row.attempt, row.reason) == ("running", 2, None)
