"""Errors of the clients.

ClientError
├── Unreachable            the service does not answer, or is not a fewbits service
├── Damaged                a download or a zip is not what it should be
├── ExportFailed           an export was not made; the message says why
└── Refused                the service refused; `problem` says why
    ├── Unauthorized       it needs an API key (FEWBITS_API_KEY)
    ├── Forbidden          the key may not do this, or a quota is used up
    ├── NotFound           the job, trial or file does not exist
    │   ├── JobNotFound, TrialNotFound, ArtifactNotFound
    ├── NotAcceptable      the format is not available
    ├── Conflict           the state of the job does not allow this
    ├── Invalid            the request is invalid; `problem.errors` names every fault
    ├── TooMany            too many requests; `retry_after_s` says when to retry, if the service does
    └── NotReady           a part of the service is missing; try again later
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
from pydantic import ValidationError

from service.schemas.problems import ProblemDocument


class ClientError(Exception):
    """A request failed."""


class Unreachable(ClientError):
    """The service does not answer, or what answers is not a fewbits service."""


class Damaged(ClientError):
    """A download has the wrong checksum, another length or name than declared, or a zip cannot be unpacked."""


class ExportFailed(ClientError):
    """An export was not made; the message says why."""


class Refused(ClientError):
    """The service refused; `problem` says why."""

    def __init__(self, problem: ProblemDocument, retry_after_s: float | None = None) -> None:
        self.problem = problem
        self.retry_after_s = retry_after_s
        super().__init__(problem.detail or problem.title)


class Unauthorized(Refused):
    """The service needs an API key, or does not accept this one."""


class Forbidden(Refused):
    """The key may not do this, or the tenant has used up a quota."""


class NotFound(Refused):
    """The job, trial or file does not exist."""


class JobNotFound(NotFound):
    """No job has this id."""


class TrialNotFound(NotFound):
    """The job has no trial with this number."""


class ArtifactNotFound(NotFound):
    """The trial has no file with this name."""


class NotAcceptable(Refused):
    """The service does not have this format."""


class Conflict(Refused):
    """The state of the job does not allow this."""


class Invalid(Refused):
    """The request is invalid; `problem.errors` names every fault."""


class TooMany(Refused):
    """Too many requests; `retry_after_s` is the time to wait in seconds, if the service names one."""


class NotReady(Refused):
    """A part of the service is missing; try again later."""


_BY_TYPE: Final[Mapping[str, type[Refused]]] = {
    "urn:fewbits:problem:job-not-found": JobNotFound,
    "urn:fewbits:problem:trial-not-found": TrialNotFound,
    "urn:fewbits:problem:artifact-not-found": ArtifactNotFound,
}
_BY_STATUS: Final[Mapping[int, type[Refused]]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    406: NotAcceptable,
    409: Conflict,
    413: Invalid,
    415: Invalid,
    422: Invalid,
    429: TooMany,
    502: NotReady,
    503: NotReady,
    504: NotReady,
}

#: An earlier request with the same Idempotency-Key is still running.
IN_USE: Final = "urn:fewbits:problem:idempotency-key-in-use"


def refusal(answer: httpx.Response) -> Refused:
    """The error for an answer, by the type of its problem, or else by its status."""
    try:
        problem = ProblemDocument.model_validate_json(answer.content)
    except ValidationError:  # from a proxy, for example
        problem = ProblemDocument(title=answer.reason_phrase, status=answer.status_code)
    kind = _BY_TYPE.get(problem.type) or _BY_STATUS.get(answer.status_code, Refused)
    return kind(problem, _retry_after(answer.headers.get("retry-after")))


def _retry_after(text: str | None) -> float | None:
    """Seconds to wait; the header is a number or a date (RFC 9110, section 10.2.3)."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
