"""Claims, leases and fences: a finished trial is never lost and never counted twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from search.history import EpochReport, TrialStatus
from service.errors import ArtifactNotFound, TrialNotFound
from service.store import claims, job_actions, trials
from service.store.blobs import Blob
from service.store.leases import Claim, LeaseStatus, Watch
from service.store.models import now
from service.store.session import Database
from tests.service.store.conftest import LEASE, measurement, new_trial

PAST = timedelta(seconds=-1)


def nobody_is_dead(_worker: str) -> bool:
    return False


def finish(database: Database, claim: Claim, metric: float = 0.9) -> bool:
    with database.transaction() as session:
        return claims.finish(session, claim, measurement(metric), artifacts={}, versions={"keras": "3"})


def status_of(database: Database, claim: Claim) -> str:
    with database.reading() as session:
        return trials.get(session, claim.job_id, claim.number).status


def lose(database: Database, claim: Claim) -> Claim:
    """Let the lease run out and another worker take the trial."""
    with database.transaction() as session:
        claims.renew(session, claim, PAST)
    with database.transaction() as session:
        for expired, _ in claims.expired(session, Watch(nobody_is_dead)):
            claims.release(session, expired, "the worker died", max_attempts=3)
        claimed = claims.claim_next(session, claim.trial_id, worker="host/2/0", lease=LEASE)
    assert claimed is not None
    return claimed


def test_a_trial_is_claimed_once(database: Database, claim: Claim) -> None:
    with database.transaction() as session:
        assert claims.claim_next(session, claim.trial_id, worker="host/2/0", lease=LEASE) is None


def test_of_many_workers_that_claim_at_once_one_gets_the_trial(database: Database, trial_id: int) -> None:
    def claim_as(index: int) -> Claim | None:
        with database.transaction() as session:
            return claims.claim_next(session, trial_id, worker=f"host/{index}/0", lease=LEASE)

    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(claim_as, range(8)))
    assert sum(claim is not None for claim in claimed) == 1


def test_a_claim_counts_attempts(database: Database, claim: Claim) -> None:
    assert claim.attempt == 1
    assert lose(database, claim).attempt == 2


def test_a_finished_trial_keeps_metric_and_cost_apart(database: Database, claim: Claim) -> None:
    assert finish(database, claim)
    with database.reading() as session:
        row = trials.get(session, claim.job_id, 0)
        assert (row.metric, row.cost, row.energy_pj, row.bits) == (0.9, 100.0, 100.0, 2**40)
        layers = trials.layers(session, row)
        assert [(layer.included_pj, layer.included) for layer in layers] == [
            (7.0, ["parameters", "operations"])
        ]


def test_an_old_attempt_cannot_finish_a_trial(database: Database, claim: Claim) -> None:
    newer = lose(database, claim)
    assert not finish(database, claim, metric=0.1)
    assert finish(database, newer, metric=0.8)
    with database.reading() as session:
        assert trials.get(session, claim.job_id, 0).metric == 0.8


def test_an_old_attempt_stores_no_epoch(database: Database, claim: Claim) -> None:
    lose(database, claim)
    with database.transaction() as session:
        assert (
            claims.add_epochs(session, claim, [EpochReport(0, {"loss": 1.0}, 0.1)], LEASE) is LeaseStatus.LOST
        )
    with database.reading() as session:
        assert trials.epochs(session, trials.get(session, claim.job_id, 0)) == []


def test_an_old_attempt_cannot_fail_a_trial(database: Database, claim: Claim) -> None:
    lose(database, claim)
    with database.transaction() as session:
        assert not claims.end(session, claim, TrialStatus.FAILED, "late")
    assert status_of(database, claim) == TrialStatus.RUNNING


def test_a_finished_trial_cannot_be_finished_again(database: Database, claim: Claim) -> None:
    assert finish(database, claim)
    assert not finish(database, claim, metric=0.1)


def test_a_fresh_lease_is_not_expired(database: Database, claim: Claim) -> None:
    with database.transaction() as session:
        assert claims.expired(session, Watch(nobody_is_dead)) == []


def test_a_worker_known_to_be_dead_loses_its_trial_before_the_lease_ends(
    database: Database, claim: Claim
) -> None:
    with database.transaction() as session:
        assert claims.expired(session, Watch(lambda worker: worker == "host/1/0")) == [(claim, True)]


def test_a_trial_fails_after_the_last_attempt(database: Database, claim: Claim) -> None:
    with database.transaction() as session:
        claims.release(session, claim, "the worker died", max_attempts=1)
    with database.reading() as session:
        row = trials.get(session, claim.job_id, 0)
    assert (row.status, row.reason) == (TrialStatus.FAILED, "the worker died (1 attempt)")


def test_epochs_of_the_newest_attempt_are_shown(database: Database, claim: Claim) -> None:
    with database.transaction() as session:
        claims.add_epochs(session, claim, [EpochReport(0, {"loss": 9.0}, 0.1)], LEASE)
    newer = lose(database, claim)
    with database.transaction() as session:
        claims.add_epochs(session, newer, [EpochReport(0, {"loss": 1.0}, 0.1)], LEASE)
    with database.reading() as session:
        row = trials.get(session, claim.job_id, 0)
        assert [epoch.metrics for epoch in trials.epochs(session, row)] == [{"loss": 1.0}]
        assert row.epochs_done == 1


def test_a_heartbeat_learns_that_the_user_cancelled(database: Database, claim: Claim) -> None:
    with database.transaction() as session:
        job_actions.cancel(session, claim.job_id)
    with database.transaction() as session:
        assert claims.renew(session, claim, LEASE) is LeaseStatus.CANCELLED


def test_a_message_that_may_be_lost_is_sent_again_once(database: Database, trial_id: int) -> None:
    later = now() + timedelta(hours=1)
    with database.transaction() as session:
        assert claims.resend(session, later) == [trial_id]
        assert claims.resend(session, now() - timedelta(seconds=5)) == []


def test_a_number_is_used_once_in_a_job(database: Database, job_id: str, trial_id: int) -> None:
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError), database.transaction() as session:
        trials.add(session, job_id, [new_trial(0)])


def test_what_is_read_back_is_what_was_proposed(database: Database, job_id: str, trial_id: int) -> None:
    with database.reading() as session:
        assert trials.history(session, job_id)[0].assignment == new_trial(0).assignment


def test_an_artifact_gets_new_content_under_its_name(database: Database, claim: Claim) -> None:
    with database.transaction() as session:
        trials.put_artifacts(
            session, claim.trial_id, {"report.json": Blob("aa", 1), "model.keras": Blob("bb", 2)}
        )
    with database.transaction() as session:
        trials.put_artifacts(session, claim.trial_id, {"report.json": Blob("cc", 3)})
    with database.reading() as session:
        row = trials.get(session, claim.job_id, 0)
        assert {a.name: a.sha256 for a in trials.artifacts(session, row)} == {
            "report.json": "cc",
            "model.keras": "bb",
        }
        with pytest.raises(ArtifactNotFound, match=r"other\.json"):
            trials.artifact(session, row, "other.json")


def test_an_unknown_trial_is_named(database: Database, job_id: str) -> None:
    with database.reading() as session, pytest.raises(TrialNotFound, match="no trial 7"):
        trials.get(session, job_id, 7)


def test_nan_is_never_stored(database: Database, claim: Claim) -> None:
    from sqlalchemy.exc import StatementError

    with (
        pytest.raises((StatementError, ValueError), match="JSON compliant"),
        database.transaction() as session,
    ):
        claims.add_epochs(session, claim, [EpochReport(0, {"loss": float("nan")}, 0.1)], LEASE)
        session.flush()
