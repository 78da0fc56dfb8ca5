"""The lifecycle of a job: which action is legal in which status, and where it leads. One table, plain."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from search.history import JOB_ENDED, JobStatus
from service.errors import IllegalAction


class JobAction(StrEnum):
    """An action of a user on a job: `POST /v1/jobs/ID:action`, but for `patch` and `delete`, which are HTTP methods."""

    PAUSE = "pause"  #: start no further trial; running ones go on
    RESUME = "resume"  #: go on after a pause
    STOP = "stop"  #: let the running trials end, then report the best
    CANCEL = "cancel"  #: end now, running trials too
    RETRY = "retry"  #: run the failed trials again
    EXTEND = "extend"  #: give a job that ended a larger budget
    CLONE = "clone"  #: create a new job from it, with changes
    PATCH = "patch"  #: change budget, parallelism or priority
    DELETE = "delete"  #: delete it with all that is stored of it


_QUEUED, _RUNNING, _PAUSED = JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.PAUSED
_STOPPING, _CANCELLING, _FINALIZING = JobStatus.STOPPING, JobStatus.CANCELLING, JobStatus.FINALIZING
_DONE, _FAILED, _CANCELLED = JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED

#: Action -> from -> to; what is missing is illegal. An action that leads back to its status changes the job, but not
#: its status; pause, resume, stop and cancel then change nothing at all, so that a request may be sent twice.
TRANSITIONS: Final[Mapping[JobAction, Mapping[JobStatus, JobStatus]]] = {
    JobAction.PAUSE: {_QUEUED: _PAUSED, _RUNNING: _PAUSED, _PAUSED: _PAUSED},
    JobAction.RESUME: {_PAUSED: _RUNNING, _RUNNING: _RUNNING},
    JobAction.STOP: {_QUEUED: _STOPPING, _RUNNING: _STOPPING, _PAUSED: _STOPPING, _STOPPING: _STOPPING},
    JobAction.CANCEL: {
        _QUEUED: _CANCELLING,
        _RUNNING: _CANCELLING,
        _PAUSED: _CANCELLING,
        _STOPPING: _CANCELLING,
        _FINALIZING: _CANCELLING,
        _CANCELLING: _CANCELLING,
        _CANCELLED: _CANCELLED,
    },
    JobAction.RETRY: {
        _RUNNING: _RUNNING,
        _PAUSED: _PAUSED,
        _DONE: _RUNNING,
        _FAILED: _RUNNING,
        _CANCELLED: _RUNNING,
    },
    JobAction.EXTEND: {_DONE: _RUNNING, _FAILED: _RUNNING, _CANCELLED: _RUNNING},
    JobAction.CLONE: {status: status for status in JobStatus},
    JobAction.PATCH: {_QUEUED: _QUEUED, _RUNNING: _RUNNING, _PAUSED: _PAUSED},
    JobAction.DELETE: {status: status for status in JOB_ENDED},
}

#: Actions that change nothing where they lead back to the same status.
_MOVES: Final = frozenset({JobAction.PAUSE, JobAction.RESUME, JobAction.STOP, JobAction.CANCEL})

#: In these the search goes on: trials are proposed and started.
OPEN: Final = frozenset({_QUEUED, _RUNNING})

#: In these a queued trial may start. While a job is stopping, the only queued trials are those whose worker died.
CLAIMABLE: Final = OPEN | {_STOPPING}

#: In these a running trial must end.
UNWANTED: Final = frozenset({_CANCELLING, _CANCELLED, _FAILED})


def allowed(status: JobStatus, *, failed_trials: bool) -> tuple[JobAction, ...]:
    """The actions that would change a job in this status, in the order of `JobAction`.

    `failed_trials`: whether any trial of it failed. A failed job may be retried without; its search is tried again.
    """
    return tuple(action for action in JobAction if _changes(action, status, failed_trials))


def _changes(action: JobAction, status: JobStatus, failed_trials: bool) -> bool:
    target = TRANSITIONS[action].get(status)
    if target is None or (action in _MOVES and target is status):
        return False
    return action is not JobAction.RETRY or failed_trials or status is JobStatus.FAILED


def after(action: JobAction, status: JobStatus, *, failed_trials: bool) -> JobStatus:
    """The status that the action leads to. IllegalAction, with the legal ones, if there is none."""
    legal = allowed(status, failed_trials=failed_trials)
    target = TRANSITIONS[action].get(status)
    if target is None or (action not in legal and action not in _MOVES):
        why = "none of its trials failed" if target is not None else f"the job is {status}"
        raise IllegalAction(action, why, legal)
    return target
