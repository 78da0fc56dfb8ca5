"""The table of what may be done with a job: complete, and the same for the store and for the answers."""

from __future__ import annotations

import itertools

import pytest

from search.history import JOB_ENDED, JobStatus
from service.errors import IllegalAction
from service.store.lifecycle import CLAIMABLE, OPEN, TRANSITIONS, UNWANTED, JobAction, after, allowed

EVERYTHING = list(itertools.product(JobAction, JobStatus, (False, True)))


@pytest.mark.parametrize(("action", "status", "failed"), EVERYTHING)
def test_what_is_allowed_leads_somewhere(action: JobAction, status: JobStatus, failed: bool) -> None:
    if action in allowed(status, failed_trials=failed):
        assert after(action, status, failed_trials=failed) is TRANSITIONS[action][status]


@pytest.mark.parametrize(("action", "status", "failed"), EVERYTHING)
def test_what_leads_nowhere_is_refused_with_what_is_allowed(
    action: JobAction, status: JobStatus, failed: bool
) -> None:
    if status in TRANSITIONS[action]:
        return
    with pytest.raises(IllegalAction) as refused:
        after(action, status, failed_trials=failed)
    assert refused.value.allowed == allowed(status, failed_trials=failed)


@pytest.mark.parametrize("status", JobStatus)
def test_a_job_that_has_not_ended_can_be_ended_and_one_that_has_can_be_deleted(status: JobStatus) -> None:
    legal = allowed(status, failed_trials=False)
    assert (JobAction.DELETE in legal) == (status in JOB_ENDED)
    assert (JobAction.CANCEL in legal) == (status not in JOB_ENDED and status is not JobStatus.CANCELLING)
    assert JobAction.CLONE in legal


@pytest.mark.parametrize("action", [JobAction.PAUSE, JobAction.RESUME, JobAction.STOP, JobAction.CANCEL])
def test_a_request_to_move_a_job_may_be_sent_twice(action: JobAction) -> None:
    for status in TRANSITIONS[action]:
        target = after(action, status, failed_trials=False)
        if target is not JobStatus.CANCELLING:  # which may have become CANCELLED meanwhile
            assert after(action, target, failed_trials=False) is target


@pytest.mark.parametrize("status", [JobStatus.RUNNING, JobStatus.DONE, JobStatus.CANCELLED])
def test_only_what_failed_is_retried(status: JobStatus) -> None:
    with pytest.raises(IllegalAction, match="none of its trials failed"):
        after(JobAction.RETRY, status, failed_trials=False)
    assert after(JobAction.RETRY, status, failed_trials=True) is JobStatus.RUNNING


def test_a_failed_job_is_retried_though_no_trial_failed() -> None:
    assert after(JobAction.RETRY, JobStatus.FAILED, failed_trials=False) is JobStatus.RUNNING


def test_no_trial_begins_where_running_ones_must_end() -> None:
    assert not CLAIMABLE & UNWANTED
    assert OPEN <= CLAIMABLE
    assert not CLAIMABLE & JOB_ENDED
