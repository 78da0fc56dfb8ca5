"""Waiting for a job: what to do after each read. Neither sends nor sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from search.history import JOB_ENDED
from service.client.errors import ClientError
from service.schemas.jobs import JobView

#: How long the service may hold back the answer to a request for events, in seconds.
LONGEST_S: Final = 10.0

Progress = Callable[[JobView], None]


class Following:
    """The state of one `wait()`: its start, the last answer of the service, and the version of the job."""

    def __init__(
        self, job_id: str, progress: Progress, *, timeout_s: float | None, patience_s: float
    ) -> None:
        self._job_id = job_id
        self._progress = progress
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._started = self._answered = time.monotonic()
        self.version = 0
        self.is_polling = False  #: the service has no events: the job is read repeatedly

    def saw(self, job: JobView) -> bool:
        """Report the progress of a job that was read; True if it has ended. TimeoutError if that took too long."""
        self._answered = time.monotonic()
        self.version = job.version
        self._progress(job)
        if job.status in JOB_ENDED:
            return True
        self._check_time()
        return False

    def missed(self, error: ClientError) -> None:
        """Note that the service did not answer; raises the error once that has lasted too long."""
        if time.monotonic() - self._answered > self._patience_s:
            raise error
        self._check_time()

    def left_s(self, at_most: float) -> float:
        """The length of the next pause, in seconds."""
        if self._timeout_s is None:
            return at_most
        return max(0.0, min(at_most, self._started + self._timeout_s - time.monotonic()))

    def _check_time(self) -> None:
        if self._timeout_s is not None and time.monotonic() - self._started > self._timeout_s:
            raise TimeoutError(f"job {self._job_id} has not ended within {self._timeout_s:g} s")
