"""What can go wrong between a client and the service.

ClientError
├── Unreachable            nothing answers, or what answers is no fewbits service
├── Damaged                a download does not have its checksum
└── Refused                the service refused; `problem` says why
    ├── Unauthorized       it needs a key (FEWBITS_API_KEY)
    ├── Forbidden          the key may not do this, or a quota is used up
    ├── NotFound           no such job, trial or file
    │   ├── JobNotFound, TrialNotFound, ArtifactNotFound
    ├── NotAcceptable      not in this format
    ├── Conflict           the state of the job does not allow this
    ├── Invalid            as written it cannot be done; `problem.errors` names every fault
    ├── TooMany            too much at once; `retry_after_s` may say for how long
    └── NotReady           a part of the service is missing; the same request may work later
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
from pydantic import ValidationError

from service.schemas.jobs import ProblemDocument


class ClientError(Exception):
    """The service could not be asked, or refused."""


class Unreachable(ClientError):
    """Nothing answers at the service's address, or what answers is no fewbits service."""


class Damaged(ClientError):
    """A download does not have the checksum the service names."""


class Refused(ClientError):
    """The service refused; `problem` says why."""

    def __init__(self, problem: ProblemDocument, retry_after_s: float | None = None) -> None:
        self.problem = problem
        self.retry_after_s = retry_after_s
        super().__init__(problem.detail or problem.title)


class Unauthorized(Refused):
    """The service needs a key, or does not know this one."""


class Forbidden(Refused):
    """The key may not do this, or the tenant has used up a quota."""


class NotFound(Refused):
    """There is no such job, trial or file."""


class JobNotFound(NotFound):
    """No job has this id."""


class TrialNotFound(NotFound):
    """The job has no trial with this number."""


class ArtifactNotFound(NotFound):
    """The trial has no file with this name."""


class NotAcceptable(Refused):
    """The service cannot send this format."""


class Conflict(Refused):
    """The state of the job does not allow this."""


class Invalid(Refused):
    """The request cannot be carried out as written; `problem.errors` names every fault."""


class TooMany(Refused):
    """Too much is asked at once; `retry_after_s` says how long to wait, if the service did."""


class NotReady(Refused):
    """A part of the service is missing; the same request may work later."""


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

#: The first request with the same Idempotency-Key is under way: its answer will come.
IN_USE: Final = "urn:fewbits:problem:idempotency-key-in-use"


def refusal(answer: httpx.Response) -> Refused:
    """The error an answer stands for, by the problem's type, else by its status."""
    try:
        problem = ProblemDocument.model_validate_json(answer.content)
    except ValidationError:  # a proxy in between, for example
        problem = ProblemDocument(title=answer.reason_phrase, status=answer.status_code)
    kind = _BY_TYPE.get(problem.type) or _BY_STATUS.get(answer.status_code, Refused)
    return kind(problem, _retry_after(answer.headers.get("retry-after")))


def _retry_after(text: str | None) -> float | None:
    """Seconds to wait, as a number or until a moment (RFC 9110 10.2.3)."""
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None
