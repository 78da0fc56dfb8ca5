"""Progress of a job: what is done, and the earlier of its two ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from search.history import JobStatus, TrialStatus
from service.store.models import Job
from service.views.progress import Pace, progress

START = datetime(2026, 1, 1, tzinfo=UTC)


def running_job(**budget: Any) -> Job:
    """A job with a budget of 20 trials of 3 epochs, which started at START."""
    return Job(
        status=JobStatus.RUNNING,
        spec={"training": {"epochs": 3}, "budget": {"trials": 20} | budget},
        exhausted=False,
        space_size="1000",
        started_at=START,
        idle_s=0.0,
    )


def after(seconds: float, done: int, job: Job) -> Any:
    """The progress when some trials are done, the first of which started with the job."""
    return progress(
        job, {TrialStatus.DONE: done}, Pace(first_start=START), START + timedelta(seconds=seconds)
    )


@pytest.mark.parametrize(
    ("seconds", "eta_s"),
    [
        (None, 100.0),  # 10 trials in 100 s: 10 more in 100 s
        (130.0, 30.0),  # the time budget ends first
        (1000.0, 100.0),  # the trials end first
        (90.0, 0.0),  # the time budget is used up
    ],
)
def test_a_job_ends_with_its_trials_or_its_time_whichever_comes_first(
    seconds: float | None, eta_s: float
) -> None:
    assert after(100, 10, running_job(seconds=seconds)).eta_s == pytest.approx(eta_s)


def test_before_the_first_trial_only_the_time_budget_says_when_a_job_ends() -> None:
    assert after(10, 0, running_job()).eta_s is None
    assert after(10, 0, running_job(seconds=60)).eta_s == pytest.approx(50)


def test_progress_is_the_larger_share_of_trials_and_time() -> None:
    assert after(100, 10, running_job()).fraction == pytest.approx(0.5)
    assert after(100, 10, running_job(seconds=125)).fraction == pytest.approx(0.8)
    assert after(100, 10, running_job(seconds=1000)).fraction == pytest.approx(0.5)


def test_an_exhausted_space_ends_with_the_trials_that_were_proposed() -> None:
    job = running_job()
    job.exhausted = True
    assert after(100, 10, job).total == 10
    assert after(100, 10, job).eta_s == pytest.approx(0)
