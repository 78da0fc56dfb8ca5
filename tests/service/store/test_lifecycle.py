"""The table of what may be done with a job: complete, and the same for the store and for the answers."""

from __future__ import annotations

import itertools

import pytest

from search.history import JOB_ENDED, JobStatus
from service.errors import IllegalVerb
from service.store.lifecycle import CLAIMABLE, OPEN, TRANSITIONS, UNWANTED, Verb, after, allowed

EVERYTHING = list(itertools.product(Verb, JobStatus, (False, True)))


@pytest.mark.parametrize(("verb", "status", "failed"), EVERYTHING)
def test_what_is_allowed_leads_somewhere(verb: Verb, status: JobStatus, failed: bool) -> None:
    if verb in allowed(status, failed_trials=failed):
        assert after(verb, status, failed_trials=failed) is TRANSITIONS[verb][status]


@pytest.mark.parametrize(("verb", "status", "failed"), EVERYTHING)
def test_what_leads_nowhere_is_refused_with_what_is_allowed(
    verb: Verb, status: JobStatus, failed: bool
) -> None:
    if status in TRANSITIONS[verb]:
        return
    with pytest.raises(IllegalVerb) as refused:
        after(verb, status, failed_trials=failed)
    assert refused.value.allowed == allowed(status, failed_trials=failed)


@pytest.mark.parametrize("status", JobStatus)
def test_a_job_that_has_not_ended_can_be_ended_and_one_that_has_can_be_deleted(status: JobStatus) -> None:
    legal = allowed(status, failed_trials=False)
    assert (Verb.DELETE in legal) == (status in JOB_ENDED)
    assert (Verb.CANCEL in legal) == (status not in JOB_ENDED and status is not JobStatus.CANCELLING)
    assert Verb.CLONE in legal


@pytest.mark.parametrize("verb", [Verb.PAUSE, Verb.RESUME, Verb.STOP, Verb.CANCEL])
def test_a_request_to_move_a_job_may_be_sent_twice(verb: Verb) -> None:
    for status in TRANSITIONS[verb]:
        target = after(verb, status, failed_trials=False)
        if target is not JobStatus.CANCELLING:  # which may have become CANCELLED meanwhile
            assert after(verb, target, failed_trials=False) is target


@pytest.mark.parametrize("status", [JobStatus.RUNNING, JobStatus.DONE, JobStatus.CANCELLED])
def test_only_what_failed_is_retried(status: JobStatus) -> None:
    with pytest.raises(IllegalVerb, match="none of its trials failed"):
        after(Verb.RETRY, status, failed_trials=False)
    assert after(Verb.RETRY, status, failed_trials=True) is JobStatus.RUNNING


def test_a_failed_job_is_retried_though_no_trial_failed() -> None:
    assert after(Verb.RETRY, JobStatus.FAILED, failed_trials=False) is JobStatus.RUNNING


def test_no_trial_begins_where_running_ones_must_end() -> None:
    assert not CLAIMABLE & UNWANTED
    assert OPEN <= CLAIMABLE
    assert not CLAIMABLE & JOB_ENDED
