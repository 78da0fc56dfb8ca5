"""What may be done with a job, and what becomes of it: one table, plain. The store and the answers both read it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from search.history import JOB_ENDED, JobStatus
from service.errors import IllegalVerb


class Verb(StrEnum):
    """What a user may do with a job: `POST /v1/jobs/ID:verb`, but for `patch` and `delete`, which are HTTP methods."""

    PAUSE = "pause"  #: let no new trial begin; those under way go on
    RESUME = "resume"  #: go on after a pause
    STOP = "stop"  #: let the trials under way end, then report the best
    CANCEL = "cancel"  #: end now, the trials under way too
    RETRY = "retry"  #: have the failed trials run again
    EXTEND = "extend"  #: give a job that ended a larger budget
    CLONE = "clone"  #: make a new job of it, with changes
    PATCH = "patch"  #: change budget, parallelism or priority
    DELETE = "delete"  #: remove it with all that is stored of it


_QUEUED, _RUNNING, _PAUSED = JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.PAUSED
_STOPPING, _CANCELLING, _FINALIZING = JobStatus.STOPPING, JobStatus.CANCELLING, JobStatus.FINALIZING
_DONE, _FAILED, _CANCELLED = JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED

#: Verb -> from -> to. What is not here is illegal. A verb that leads nowhere else changes the job, but not its status;
#: pause, resume, stop and cancel then change nothing at all, so that a request may be sent twice.
TRANSITIONS: Final[Mapping[Verb, Mapping[JobStatus, JobStatus]]] = {
    Verb.PAUSE: {_QUEUED: _PAUSED, _RUNNING: _PAUSED, _PAUSED: _PAUSED},
    Verb.RESUME: {_PAUSED: _RUNNING, _RUNNING: _RUNNING},
    Verb.STOP: {_QUEUED: _STOPPING, _RUNNING: _STOPPING, _PAUSED: _STOPPING, _STOPPING: _STOPPING},
    Verb.CANCEL: {
        _QUEUED: _CANCELLING,
        _RUNNING: _CANCELLING,
        _PAUSED: _CANCELLING,
        _STOPPING: _CANCELLING,
        _FINALIZING: _CANCELLING,
        _CANCELLING: _CANCELLING,
        _CANCELLED: _CANCELLED,
    },
    Verb.RETRY: {
        _RUNNING: _RUNNING,
        _PAUSED: _PAUSED,
        _DONE: _RUNNING,
        _FAILED: _RUNNING,
        _CANCELLED: _RUNNING,
    },
    Verb.EXTEND: {_DONE: _RUNNING, _FAILED: _RUNNING, _CANCELLED: _RUNNING},
    Verb.CLONE: {status: status for status in JobStatus},
    Verb.PATCH: {_QUEUED: _QUEUED, _RUNNING: _RUNNING, _PAUSED: _PAUSED},
    Verb.DELETE: {status: status for status in JOB_ENDED},
}

#: Verbs that do nothing where they lead nowhere else.
_MOVES: Final = frozenset({Verb.PAUSE, Verb.RESUME, Verb.STOP, Verb.CANCEL})

#: In these the search goes on: trials are proposed and begin.
OPEN: Final = frozenset({_QUEUED, _RUNNING})

#: In these a queued trial may begin; while a job is stopping, only one that was under way and lost its worker is left.
CLAIMABLE: Final = OPEN | {_STOPPING}

#: In these a running trial has to end.
UNWANTED: Final = frozenset({_CANCELLING, _CANCELLED, _FAILED})


def allowed(status: JobStatus, *, failed_trials: bool) -> tuple[Verb, ...]:
    """What would change something about a job in this status, in the order of `Verb`.

    `failed_trials`: whether any trial of it failed. A failed job may be retried without; its search is tried again.
    """
    return tuple(verb for verb in Verb if _changes(verb, status, failed_trials))


def _changes(verb: Verb, status: JobStatus, failed_trials: bool) -> bool:
    target = TRANSITIONS[verb].get(status)
    if target is None or (verb in _MOVES and target is status):
        return False
    return verb is not Verb.RETRY or failed_trials or status is JobStatus.FAILED


def after(verb: Verb, status: JobStatus, *, failed_trials: bool) -> JobStatus:
    """The status a verb leads to. IllegalVerb, with the legal ones, if there is none."""
    legal = allowed(status, failed_trials=failed_trials)
    target = TRANSITIONS[verb].get(status)
    if target is None or (verb not in legal and verb not in _MOVES):
        why = "none of its trials failed" if target is not None else f"the job is {status}"
        raise IllegalVerb(verb, why, legal)
    return target
