"""Verbs as changes of rows, on both databases; and the log that tells of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from search.history import Cause, EpochReport, JobStatus, TrialStatus
from service.errors import IllegalAction, JobNotFound
from service.store import claims, deferred_deletes, events, final_reports, job_actions, jobs, trials
from service.store.blobs import BlobStore
from service.store.leases import Claim, LeaseStatus, Watch
from service.store.models import Attempt, DiscardedBlob, Event, Job, Trial, now
from service.store.session import Database
from tests.service.store.conftest import LEASE, measurement, new_job, new_trial

LATER = timedelta(hours=1)


def queue(database: Database, job_id: str, *numbers: int) -> list[int]:
    with database.transaction() as session:
        return trials.add(session, job_id, [new_trial(number) for number in numbers])


def claim_next(database: Database, trial_id: int, worker: str = "host/1/0") -> Claim | None:
    with database.transaction() as session:
        return claims.claim_next(session, trial_id, worker=worker, lease=LEASE)


def claimed(database: Database, trial_id: int) -> Claim:
    claim = claim_next(database, trial_id)
    assert claim is not None
    return claim


def act(database: Database, verb: Any, job_id: str, *arguments: Any) -> Job:
    with database.transaction() as session:
        job: Job = verb(session, job_id, *arguments)
        return job


def fail(database: Database, claim: Claim, reason: str = "broken") -> None:
    with database.transaction() as session:
        assert claims.end(session, claim, TrialStatus.FAILED, reason)


def read(database: Database, job_id: str) -> tuple[Job, list[Trial]]:
    with database.reading() as session:
        return jobs.get(session, job_id), trials.page(session, job_id, limit=1000)


def log(database: Database, job_id: str) -> list[Event]:
    with database.reading() as session:
        return events.after(session, job_id, 0, 1000)


# --- pause, resume, stop, cancel ---


def test_in_a_paused_job_no_trial_begins_and_those_under_way_go_on(database: Database, job_id: str) -> None:
    first, second = queue(database, job_id, 0, 1)
    claim = claimed(database, first)
    act(database, job_actions.pause, job_id)
    assert claim_next(database, second) is None
    with database.transaction() as session:
        assert claims.renew(session, claim, LEASE) is LeaseStatus.HELD
        assert claims.finish(session, claim, measurement(), artifacts={}, versions={})


def test_a_paused_job_waits_for_its_user_not_for_the_sweep(database: Database, job_id: str) -> None:
    queue(database, job_id, 0)
    act(database, job_actions.pause, job_id)
    with database.transaction() as session:
        assert claims.resend(session, now() + LATER) == []
        assert jobs.stalled(session, now() + LATER, Watch(lambda _: False)) == []


def test_a_resumed_job_goes_on_where_it_was(database: Database, job_id: str) -> None:
    queue(database, job_id, 0, 1)
    act(database, job_actions.pause, job_id)
    with database.transaction() as session:
        job = job_actions.resume(session, job_id)
        assert len(job_actions.startable(session, job)) == 2
    assert job.status == JobStatus.RUNNING
    assert claim_next(database, 0) is not None


def test_a_pause_counts_nothing_of_the_time(database: Database, job_id: str) -> None:
    hour = timedelta(hours=1)
    with database.transaction() as session:
        job = jobs.get(session, job_id)
        job.started_at, job.paused_at, job.status = now() - 3 * hour, now() - 2 * hour, JobStatus.PAUSED
    assert jobs.active_s(read(database, job_id)[0], now()) == pytest.approx(3600, abs=5)
    act(database, job_actions.resume, job_id)
    assert jobs.active_s(read(database, job_id)[0], now() + hour) == pytest.approx(7200, abs=5)


def test_stopping_cancels_what_waits_and_lets_the_rest_end(database: Database, job_id: str) -> None:
    first, second = queue(database, job_id, 0, 1)
    claim = claimed(database, first)
    job = act(database, job_actions.stop, job_id)
    assert (job.status, job.cause) == (JobStatus.STOPPING, Cause.USER)
    assert claim_next(database, second) is None
    with database.transaction() as session:
        assert claims.renew(session, claim, LEASE) is LeaseStatus.HELD
    assert [trial.status for trial in read(database, job_id)[1]] == ["running", "cancelled"]


def test_a_trial_of_a_stopping_job_whose_worker_died_is_still_finished(
    database: Database, job_id: str
) -> None:
    (trial_id,) = queue(database, job_id, 0)
    claim = claimed(database, trial_id)
    act(database, job_actions.stop, job_id)
    with database.transaction() as session:
        claims.release(session, claim, "the worker died", max_attempts=3)
    assert claim_next(database, trial_id) is not None


def test_a_trial_of_a_cancelled_job_whose_worker_died_is_cancelled(database: Database, job_id: str) -> None:
    (trial_id,) = queue(database, job_id, 0)
    claim = claimed(database, trial_id)
    assert act(database, job_actions.cancel, job_id).status == JobStatus.CANCELLING
    with database.transaction() as session:
        claims.release(session, claim, "the worker died", max_attempts=3)
    assert read(database, job_id)[1][0].status == TrialStatus.CANCELLED


def test_the_trials_of_a_failed_job_end(database: Database, job_id: str) -> None:
    first, _ = queue(database, job_id, 0, 1)
    claim = claimed(database, first)
    with database.transaction() as session:
        jobs.end(session, job_id, JobStatus.FAILED, "no trial can work")
        assert claims.renew(session, claim, LEASE) is LeaseStatus.CANCELLED
    assert [trial.status for trial in read(database, job_id)[1]] == ["running", "cancelled"]


def test_what_is_illegal_is_refused_with_what_is_allowed(database: Database, job_id: str) -> None:
    act(database, job_actions.cancel, job_id)
    with pytest.raises(IllegalAction, match="job is cancelled") as refused:
        act(database, job_actions.pause, job_id)
    assert refused.value.allowed == ("extend", "clone", "delete")


# --- retry, extend ---


def test_failed_trials_are_tried_again_as_often_as_new_ones(database: Database, job_id: str) -> None:
    (trial_id,) = queue(database, job_id, 0)
    claim = claimed(database, trial_id)
    with database.transaction() as session:
        claims.release(session, claim, "the disk is full", max_attempts=1)
        jobs.end(session, job_id, JobStatus.FAILED, "nothing could be measured")
    job = act(database, job_actions.retry, job_id)
    assert (job.status, job.finished_at, job.reason) == (JobStatus.RUNNING, None, None)
    again = claimed(database, trial_id)
    assert again.attempt == 2
    with database.transaction() as session:
        claims.release(session, again, "the disk is full", max_attempts=2)
    assert read(database, job_id)[1][0].status == TrialStatus.QUEUED


def test_an_attempt_from_before_the_retry_stores_nothing(database: Database, job_id: str) -> None:
    (trial_id,) = queue(database, job_id, 0)
    with database.transaction() as session:
        jobs.save_proposals(session, job_id, proposals=0, oracle_state="{}", exhausted=False)
    old = claimed(database, trial_id)
    fail(database, old)
    act(database, job_actions.retry, job_id)
    claimed(database, trial_id)
    with database.transaction() as session:
        assert not claims.finish(session, old, measurement(), artifacts={}, versions={})


def test_an_extended_job_runs_under_its_new_budget(database: Database, job_id: str) -> None:
    spec = new_job().spec | {"budget": {"trials": 30}, "parallel_trials": 2, "priority": 0}
    with database.transaction() as session:
        jobs.save_proposals(session, job_id, proposals=0, oracle_state="{}", exhausted=True)
        jobs.end(session, job_id, JobStatus.DONE, "all trials are done", cause=Cause.TRIALS)
    job = act(database, job_actions.extend, job_id, spec)
    assert (job.status, job.spec["budget"], job.cause) == (JobStatus.RUNNING, {"trials": 30}, None)
    assert not job.exhausted
    with database.transaction() as session:
        assert jobs.save_proposals(session, job_id, proposals=1, oracle_state="{}", exhausted=False)


# --- priority, parallelism ---


def test_trials_of_the_job_with_the_higher_priority_begin_first(database: Database) -> None:
    with database.transaction() as session:
        usual = jobs.create(session, new_job("usual")).id
        urgent = jobs.create(session, new_job("urgent")).id
    (first,) = queue(database, usual, 0)
    queue(database, urgent, 0)
    spec = new_job().spec | {"budget": {"trials": 5}, "parallel_trials": 2, "priority": 10}
    act(database, job_actions.patch, urgent, spec)
    assert [claimed(database, first).job_id for _ in range(2)] == [urgent, usual]


def test_no_more_trials_run_at_once_than_the_job_allows(database: Database, job_id: str) -> None:
    ids = queue(database, job_id, 0, 1, 2)
    attempted = [claim_next(database, trial_id) for trial_id in ids]
    assert [claim is not None for claim in attempted] == [True, True, False]
    assert attempted[0] is not None
    fail(database, attempted[0])
    assert claim_next(database, ids[2]) is not None


def test_workers_that_claim_at_once_keep_to_what_the_job_allows(database: Database, job_id: str) -> None:
    ids = queue(database, job_id, *range(6))
    with ThreadPoolExecutor(6) as pool:
        attempted = list(pool.map(lambda trial_id: claim_next(database, trial_id), ids))
    assert sum(claim is not None for claim in attempted) == 2


# --- attempts ---


def test_every_attempt_is_kept_with_how_it_ended(database: Database, job_id: str) -> None:
    (trial_id,) = queue(database, job_id, 0)
    first = claimed(database, trial_id)
    with database.transaction() as session:
        claims.release(session, first, "the disk is full", max_attempts=3)
    second = claimed(database, trial_id)
    with database.transaction() as session:
        assert claims.finish(session, second, measurement(), artifacts={}, versions={})
    with database.reading() as session:
        attempts = trials.attempts(session, trials.get(session, job_id, 0))
    assert [(attempt.attempt, attempt.outcome, attempt.reason) for attempt in attempts] == [
        (1, "released", "the disk is full"),
        (2, "done", None),
    ]
    assert all(
        attempt.ended_at is not None and attempt.ended_at >= attempt.started_at for attempt in attempts
    )


# --- the log ---


def test_the_log_tells_a_job_from_begin_to_end(database: Database, job_id: str) -> None:
    (trial_id,) = queue(database, job_id, 0)
    claim = claimed(database, trial_id)
    with database.transaction() as session:
        claims.add_epochs(session, claim, [EpochReport(0, {"loss": 1.0}, 0.1)], LEASE)
        claims.finish(session, claim, measurement(), artifacts={}, versions={})
    with database.transaction() as session:
        assert final_reports.start(session, job_id, 0, "all done", Cause.TRIALS)
        jobs.end(session, job_id, JobStatus.DONE, "all done")
    entries = log(database, job_id)
    assert [event.type for event in entries] == [
        "job.created",
        "job.warning",
        "trial.queued",
        "trial.claimed",
        "trial.epoch",
        "trial.ended",
        "job.status",
        "job.finalized",
        "job.status",
    ]
    assert entries[5].data == {
        "attempt": 1,
        "status": "done",
        "metric": 0.9,
        "cost": 100.0,
        "energy_pj": 100.0,
        "bits": 2**40,
    }
    assert entries[-1].data["cause"] == "trials"


def test_the_version_of_a_job_is_the_id_of_its_newest_event(database: Database, job_id: str) -> None:
    (trial_id,) = queue(database, job_id, 0)
    for change in (lambda: claimed(database, trial_id), lambda: act(database, job_actions.cancel, job_id)):
        change()
        assert read(database, job_id)[0].version == log(database, job_id)[-1].id


def test_what_is_rolled_back_is_not_in_the_log(database: Database, job_id: str) -> None:
    before = [event.id for event in log(database, job_id)]
    with pytest.raises(ZeroDivisionError), database.transaction() as session:
        job_actions.pause(session, job_id)
        raise ZeroDivisionError
    assert [event.id for event in log(database, job_id)] == before


def test_readers_see_every_event_in_order_while_many_write(database: Database, job_id: str) -> None:
    """Also on PostgreSQL, where a later transaction may be visible first: a number locks its job until the commit."""
    ids = queue(database, job_id, *range(24))
    writing = True

    def write(trial_id: int) -> None:
        with database.transaction() as session:
            claim = claims.claim_next(session, trial_id, worker="host/1/0", lease=LEASE)
        if claim is not None:
            fail(database, claim)

    def follow() -> list[int]:
        seen: list[int] = []
        while writing or len(seen) < len(log(database, job_id)):
            with database.reading() as session:
                seen += [event.id for event in events.after(session, job_id, seen[-1] if seen else 0, 3)]
        return seen

    with ThreadPoolExecutor(5) as pool:
        reader = pool.submit(follow)
        with ThreadPoolExecutor(4) as writers:
            list(writers.map(write, ids))
        writing = False
        assert reader.result() == [event.id for event in log(database, job_id)]


def test_the_events_of_a_job_that_ended_long_ago_are_forgotten(database: Database, job_id: str) -> None:
    with database.transaction() as session:
        assert events.prune(session, now() + LATER) == 0
    act(database, job_actions.cancel, job_id)
    with database.transaction() as session:
        assert events.prune(session, now() - LATER) == 0
        assert events.prune(session, now() + LATER) == 3
    assert log(database, job_id) == []


# --- deleting ---


def test_with_a_job_goes_all_that_hangs_on_it(database: Database, claim: Claim) -> None:
    with database.transaction() as session:
        claims.finish(session, claim, measurement(), artifacts={}, versions={})
    with pytest.raises(IllegalAction, match="cannot delete"):
        act(database, job_actions.delete, claim.job_id)
    act(database, job_actions.cancel, claim.job_id)
    act(database, job_actions.delete, claim.job_id)
    with database.reading() as session:
        with pytest.raises(JobNotFound):
            jobs.get(session, claim.job_id)
        for table in (Trial, Attempt, Event):
            assert session.query(table).count() == 0


def test_a_worker_whose_job_was_deleted_stores_nothing(database: Database, claim: Claim) -> None:
    with database.transaction() as session:
        jobs.end(session, claim.job_id, JobStatus.FAILED, "broken")
    act(database, job_actions.delete, claim.job_id)
    with database.transaction() as session:
        assert claims.renew(session, claim, LEASE) is LeaseStatus.LOST
        assert claims.add_epochs(session, claim, [EpochReport(0, {}, 0.1)], LEASE) is LeaseStatus.LOST
        assert not claims.finish(session, claim, measurement(), artifacts={}, versions={})
        claims.release(session, claim, "late", max_attempts=3)


def stored(blobs: BlobStore, folder: Path, content: str) -> Any:
    path = folder / "content"
    path.write_text(content)
    return blobs.put(path)


def test_content_nobody_else_names_goes_with_the_job_and_shared_content_stays(
    database: Database, tmp_path: Path
) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    alone, shared = stored(blobs, tmp_path, "own"), stored(blobs, tmp_path, "shared")
    job_ids = []
    for files in ({"a": alone, "b": shared}, {"b": shared}):
        with database.transaction() as session:
            job_id = jobs.create(session, new_job()).id
        (trial_id,) = queue(database, job_id, 0)
        with database.transaction() as session:
            claim = claims.claim_next(session, trial_id, worker="host/1/0", lease=LEASE)
            assert claim is not None
            claims.finish(session, claim, measurement(), artifacts=files, versions={})
        act(database, job_actions.cancel, job_id)
        job_ids.append(job_id)
    act(database, job_actions.delete, job_ids[0])
    with database.transaction() as session:
        assert deferred_deletes.remove(session, blobs, now() - LATER) == 0
        assert deferred_deletes.remove(session, blobs, now() + LATER) == 1
    assert not blobs.path(alone.sha256).exists()
    assert blobs.path(shared.sha256).exists()
    with database.reading() as session:
        assert session.query(DiscardedBlob).count() == 0


def test_content_that_was_put_again_is_not_removed_before_somebody_can_name_it(
    database: Database, tmp_path: Path
) -> None:
    blobs = BlobStore(tmp_path / "blobs")
    blob = stored(blobs, tmp_path, "again")
    assert not blobs.remove_stale(blob.sha256, now() - LATER)
    assert blobs.remove_stale(blob.sha256, now() + LATER)
    assert blobs.remove_stale(blob.sha256, now() + LATER)
