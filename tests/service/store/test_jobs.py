"""Jobs in the store: created, advanced by one asker at a time, ended once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from search.history import JobStatus, TrialStatus
from service.errors import Conflict, JobNotFound
from service.store import final_reports, job_actions, jobs, reading, trials
from service.store.leases import Claim, Watch
from service.store.models import Job, now
from service.store.query import Sort
from service.store.reading import PageQuery
from service.store.session import Database, on_commit
from tests.service.store.conftest import LEASE, new_job


def nobody_is_dead(_worker: str) -> bool:
    return False


def claim_report(session: Session, job_id: str, lease: timedelta) -> int | None:
    return final_reports.claim(session, job_id, worker="host/1/0", lease=lease)


def test_an_unknown_job_is_named(database: Database) -> None:
    with database.reading() as session, pytest.raises(JobNotFound, match="nope"):
        jobs.get(session, "nope")


def test_a_new_job_is_queued_with_all_it_was_given(database: Database, job_id: str) -> None:
    with database.reading() as session:
        job = jobs.get(session, job_id)
    assert (job.status, job.space_size, job.warnings) == (JobStatus.QUEUED, str(10**30), ["a warning"])
    assert job.created_at.tzinfo is not None


def test_a_failed_transaction_stores_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError, match="on the way"), database.transaction() as session:
        job_id = jobs.create(session, new_job()).id
        raise RuntimeError("on the way")
    with database.reading() as session, pytest.raises(JobNotFound):
        jobs.get(session, job_id)


def test_what_waits_for_a_commit_happens_after_it(database: Database) -> None:
    stored: list[str] = []

    def read_ids() -> None:
        with database.reading() as session:
            stored.extend(session.scalars(select(Job.id)))

    with database.transaction() as session:
        job_id = jobs.create(session, new_job()).id
        on_commit(read_ids)
        assert stored == []
    assert stored == [job_id]


def test_what_waits_for_a_commit_is_dropped_with_the_transaction(database: Database) -> None:
    seen: list[int] = []
    with pytest.raises(ZeroDivisionError), database.transaction():
        on_commit(lambda: seen.append(1))
        raise ZeroDivisionError
    assert seen == []


def test_nothing_waits_for_a_commit_outside_of_a_transaction() -> None:
    with pytest.raises(RuntimeError, match="inside"):
        on_commit(print)


def test_pages_hold_every_job_once_newest_first(database: Database) -> None:
    with database.transaction() as session:
        ids = [jobs.create(session, new_job(str(index))).id for index in range(5)]
    newest_first = Sort("created_at", descending=True)
    pages: list[Job] = []
    after = None
    with database.reading() as session:
        while page := reading.job_page(session, PageQuery((), newest_first, after, limit=2)):
            pages += page
            after = (page[-1].created_at, page[-1].id)
    assert sorted(job.id for job in pages) == sorted(ids)
    assert pages == sorted(pages, key=lambda job: (job.created_at, job.id), reverse=True)


def test_one_of_two_askers_saves_its_proposals(database: Database, job_id: str) -> None:
    with database.transaction() as session:
        assert jobs.save_proposals(session, job_id, proposals=0, oracle_state="{}", exhausted=False)
    with database.transaction() as session:
        assert not jobs.save_proposals(session, job_id, proposals=0, oracle_state="{}", exhausted=False)


def test_a_cancelled_job_takes_no_proposals(database: Database, job_id: str) -> None:
    with database.transaction() as session:
        job_actions.cancel(session, job_id)
    with database.transaction() as session:
        assert not jobs.save_proposals(session, job_id, proposals=0, oracle_state="{}", exhausted=False)


def test_cancelling_ends_a_job_without_running_trials_at_once(
    database: Database, job_id: str, trial_id: int
) -> None:
    with database.transaction() as session:
        assert job_actions.cancel(session, job_id).status == JobStatus.CANCELLED
    with database.reading() as session:
        assert trials.get(session, job_id, 0).status == TrialStatus.CANCELLED


def test_cancelling_waits_for_running_trials(database: Database, claim: Claim) -> None:
    with database.transaction() as session:
        assert job_actions.cancel(session, claim.job_id).status == JobStatus.CANCELLING
    with database.reading() as session:
        assert trials.get(session, claim.job_id, claim.number).status == TrialStatus.RUNNING


def test_a_job_that_ended_cannot_be_cancelled(database: Database, job_id: str) -> None:
    with database.transaction() as session:
        jobs.end(session, job_id, JobStatus.DONE, "all done")
    with pytest.raises(Conflict, match="is done"), database.transaction() as session:
        job_actions.cancel(session, job_id)


def test_the_final_report_is_claimed_once_and_again_after_its_lease(database: Database, job_id: str) -> None:
    with database.transaction() as session:
        assert final_reports.start(session, job_id, best_trial=0, reason="done")
        assert claim_report(session, job_id, timedelta(seconds=-1)) == 1
        assert claim_report(session, job_id, LEASE) == 2
        assert claim_report(session, job_id, LEASE) is None


def test_an_old_attempt_of_the_final_report_is_refused(database: Database, job_id: str) -> None:
    with database.transaction() as session:
        final_reports.start(session, job_id, best_trial=0, reason="done")
        claim_report(session, job_id, timedelta(seconds=-1))
        claim_report(session, job_id, LEASE)
    with database.transaction() as session:
        assert not final_reports.is_newest(session, job_id, 1)
        assert final_reports.is_newest(session, job_id, 2)


def test_a_job_that_nobody_looks_after_is_stalled(database: Database, job_id: str) -> None:
    later = now() + timedelta(hours=1)
    with database.transaction() as session:
        assert jobs.stalled(session, later, Watch(nobody_is_dead)) == [(job_id, JobStatus.QUEUED)]


@pytest.mark.usefixtures("trial_id")
def test_a_job_with_a_trial_under_way_is_not_stalled(database: Database) -> None:
    with database.transaction() as session:
        assert jobs.stalled(session, now() + timedelta(hours=1), Watch(nobody_is_dead)) == []


def test_trials_are_counted_by_status(database: Database, claim: Claim) -> None:
    with database.reading() as session:
        assert jobs.trial_counts(session, [claim.job_id])[claim.job_id] == {TrialStatus.RUNNING: 1}


def test_a_job_just_looked_after_is_not_stalled(database: Database, job_id: str) -> None:
    with database.transaction() as session:
        assert jobs.stalled(session, now() - timedelta(hours=1), Watch(nobody_is_dead)) == []


def test_a_final_report_under_way_is_not_stalled(database: Database, job_id: str) -> None:
    later = now() + timedelta(hours=1)
    with database.transaction() as session:
        final_reports.start(session, job_id, best_trial=0, reason="done")
        claim_report(session, job_id, LEASE)
        assert jobs.stalled(session, later, Watch(nobody_is_dead)) == []


def test_a_final_report_whose_worker_died_is_given_back_at_once(database: Database, job_id: str) -> None:
    with database.transaction() as session:
        final_reports.start(session, job_id, best_trial=0, reason="done")
        claim_report(session, job_id, LEASE)
    with database.transaction() as session:
        assert jobs.stalled(
            session, now() - timedelta(hours=1), Watch(lambda worker: worker == "host/1/0")
        ) == [(job_id, JobStatus.FINALIZING)]
        assert claim_report(session, job_id, LEASE) == 2
