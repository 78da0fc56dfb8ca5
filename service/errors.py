"""Everything the service refuses, each with its HTTP status.

    ServiceError                     500
    ├── Malformed                    400  the body is not JSON, or the host is not one of the service's
    ├── Unauthorized                 401  no key, or an invalid one
    ├── Forbidden                    403
    │   ├── InsufficientScope             the key's scope does not allow this
    │   └── QuotaExhausted                a quota of the tenant is used up
    ├── NotFound                     404
    │   ├── JobNotFound
    │   ├── TrialNotFound
    │   ├── UploadNotFound
    │   ├── ArtifactNotFound
    │   └── NoSuchPath
    ├── MethodNotAllowed             405
    ├── NotAcceptable                406  none of the formats that the client accepts
    ├── Conflict                     409
    │   ├── IllegalAction                 carries the actions that are allowed
    │   ├── WrongOffset                   of an upload; carries the right one
    │   ├── BusyUpload                    another request is writing it
    │   ├── UploadInUse                   a job that has not ended uses it
    │   ├── SourcesChanged                data or files of a job that has ended are gone, or other ones
    │   └── IdempotencyKeyInUse           the first request with this Idempotency-Key is still in progress
    ├── TooLarge                     413
    ├── NotJson                      415
    ├── RangeNotSatisfiable          416
    ├── InvalidRequest               422  one entry per fault: JSON pointer and message
    │   ├── InvalidParameter              the fault is in the query, not in the body
    │   ├── RefusedUpload                 the content of an upload is not accepted
    │   └── IdempotencyKeyReused          the Idempotency-Key was used before with another body
    ├── TooMany                      429
    │   ├── RateLimited                   the key sends too many requests
    │   └── QuotaReached                  the tenant must wait until one of its jobs ends
    └── Unavailable                  503  a part that the service depends on does not respond

The response is application/problem+json (RFC 9457): `type` is stable, `title` is the first line of the class's
docstring, `detail` is for people, `errors` are the faults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from search.errors import Problem, first_problems


def as_document(error: ServiceError) -> dict[str, Any]:
    """An error as JSON, to be raised in another process by `from_document`."""
    values = {name: value for name, value in vars(error).items() if name != "problems"}
    problems = [[problem.pointer, problem.message] for problem in error.problems]
    return {"class": type(error).__name__, "values": values, "problems": problems}


def from_document(document: Mapping[str, Any]) -> ServiceError:
    """The error that `as_document` wrote."""
    error_class = _classes(ServiceError)[document["class"]]
    error = error_class.__new__(error_class)
    Exception.__init__(error, document["values"]["detail"])
    vars(error).update(document["values"])
    if document["problems"]:
        error.problems = tuple(Problem(*problem) for problem in document["problems"])
    return error


def _classes(error_class: type[ServiceError]) -> dict[str, type[ServiceError]]:
    classes = {error_class.__name__: error_class}
    for subclass in error_class.__subclasses__():
        classes |= _classes(subclass)
    return classes


class ServiceError(Exception):
    """Internal error."""

    status: ClassVar[int] = 500
    type: ClassVar[str] = "urn:fewbits:problem:internal"
    problems: tuple[Problem, ...] = ()
    headers: Mapping[str, str] = {}

    def __init__(self, detail: str = "", headers: Mapping[str, str] | None = None) -> None:
        self.headers = headers or self.headers
        self.detail = detail or (self.__class__.__doc__ or "").strip().splitlines()[0]
        super().__init__(self.detail)

    @property
    def title(self) -> str:
        """A short summary, the same for every occurrence."""
        return (self.__class__.__doc__ or "").strip().splitlines()[0].rstrip(".")


class Malformed(ServiceError):
    """The request cannot be read."""

    status = 400
    type = "urn:fewbits:problem:malformed"


class Unauthorized(ServiceError):
    """Authentication required."""

    status = 401
    type = "urn:fewbits:problem:unauthorized"
    headers: Mapping[str, str] = {"WWW-Authenticate": 'Bearer realm="fewbits"'}


class Forbidden(ServiceError):
    """This request is not allowed."""

    status = 403
    type = "urn:fewbits:problem:forbidden"


class InsufficientScope(Forbidden):
    """The scope of the key does not allow this."""

    type = "urn:fewbits:problem:insufficient-scope"


class QuotaExhausted(Forbidden):
    """A quota of the tenant is used up."""

    type = "urn:fewbits:problem:quota-exhausted"

    def __init__(self, quota: str, detail: str) -> None:
        self.quota = quota
        super().__init__(f"{quota}: {detail}")


class NotFound(ServiceError):
    """Not found."""

    status = 404
    type = "urn:fewbits:problem:not-found"


class JobNotFound(NotFound):
    """No job has this id."""

    type = "urn:fewbits:problem:job-not-found"


class TrialNotFound(NotFound):
    """The job has no trial with this number."""

    type = "urn:fewbits:problem:trial-not-found"


class ArtifactNotFound(NotFound):
    """The trial has no artifact with this name."""

    type = "urn:fewbits:problem:artifact-not-found"


class NotAcceptable(ServiceError):
    """None of the requested formats is available."""

    status = 406
    type = "urn:fewbits:problem:not-acceptable"


class NoSuchPath(NotFound):
    """No such path."""

    type = "urn:fewbits:problem:no-such-path"


class MethodNotAllowed(ServiceError):
    """Method not allowed."""

    status = 405
    type = "urn:fewbits:problem:method-not-allowed"


class UploadNotFound(NotFound):
    """No upload has this id."""

    type = "urn:fewbits:problem:upload-not-found"


class Conflict(ServiceError):
    """The current state does not allow this."""

    status = 409
    type = "urn:fewbits:problem:conflict"


class IllegalAction(Conflict):
    """The status of the job does not allow this."""

    def __init__(self, action: str, why: str, allowed: Sequence[str]) -> None:
        self.allowed = tuple(allowed)
        super().__init__(f"cannot {action}: {why}; allowed: {', '.join(self.allowed) or 'nothing'}")


class SourcesChanged(Conflict):
    """What the job was searched on is gone or was replaced."""

    type = "urn:fewbits:problem:sources-changed"


class IdempotencyKeyInUse(Conflict):
    """The first request with this Idempotency-Key is still in progress."""

    type = "urn:fewbits:problem:idempotency-key-in-use"


class WrongOffset(Conflict):
    """The part does not start at the upload's offset."""

    type = "urn:fewbits:problem:wrong-offset"

    def __init__(self, offset: int) -> None:
        super().__init__(
            f"the upload has {offset} bytes: continue from Upload-Offset", {"Upload-Offset": str(offset)}
        )


class BusyUpload(Conflict):
    """Another request is writing to this upload."""

    type = "urn:fewbits:problem:busy-upload"


class UploadInUse(Conflict):
    """A job that has not ended uses this upload."""

    type = "urn:fewbits:problem:upload-in-use"


class InvalidRequest(ServiceError):
    """The request is not valid."""

    status = 422
    type = "urn:fewbits:problem:invalid-request"

    def __init__(self, problems: Sequence[Problem], detail: str = "") -> None:
        self.problems = first_problems(problems)
        super().__init__(detail or "; ".join(f"{p.pointer}: {p.message}" for p in self.problems[:3]))


class InvalidParameter(InvalidRequest):
    """A parameter of the request is not valid."""

    type = "urn:fewbits:problem:invalid-parameter"

    def __init__(self, parameter: str, detail: str) -> None:
        self.parameter = parameter
        super().__init__((), f"{parameter}: {detail}")


class RefusedUpload(InvalidRequest):
    """The uploaded content is not accepted and was discarded."""

    type = "urn:fewbits:problem:refused-upload"

    def __init__(self, detail: str) -> None:
        super().__init__((), detail)


class IdempotencyKeyReused(InvalidRequest):
    """The Idempotency-Key was used before with another body."""

    type = "urn:fewbits:problem:idempotency-key-reused"

    def __init__(self) -> None:
        super().__init__((), "this Idempotency-Key was used before with another body: use a new key")


class TooLarge(ServiceError):
    """The request body is too large."""

    status = 413
    type = "urn:fewbits:problem:too-large"


class RangeNotSatisfiable(ServiceError):
    """The requested range is not in the file."""

    status = 416
    type = "urn:fewbits:problem:range-not-satisfiable"


class NotJson(ServiceError):
    """The request body must be application/json."""

    status = 415
    type = "urn:fewbits:problem:not-json"


class Unavailable(ServiceError):
    """A part that the service depends on does not respond."""

    status = 503
    type = "urn:fewbits:problem:unavailable"
    headers: Mapping[str, str] = {"Retry-After": "5"}


class TooMany(ServiceError):
    """Too many requests."""

    status = 429
    type = "urn:fewbits:problem:too-many"


class RateLimited(TooMany):
    """The rate limit is exceeded."""

    type = "urn:fewbits:problem:rate-limited"


class QuotaReached(TooMany):
    """A quota of the tenant is reached."""

    type = "urn:fewbits:problem:quota-reached"

    def __init__(self, quota: str, detail: str) -> None:
        self.quota = quota
        super().__init__(f"{quota}: {detail}", {"Retry-After": "60"})
