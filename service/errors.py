"""Everything the service refuses, each with its HTTP status.

    ServiceError                 500
    ├── Malformed                400  the body is not JSON, or the host is not ours
    ├── Unauthorized             401  no key, or not a good one
    ├── Forbidden                403
    │   ├── InsufficientScope        the key may not do this
    │   └── QuotaExhausted           the tenant has used what it may
    ├── NotFound                 404
    │   ├── JobNotFound
    │   ├── TrialNotFound
    │   ├── UploadNotFound
    │   └── ArtifactNotFound
    ├── NotAcceptable            406  in none of the formats the reader takes
    │   └── NoSuchPath
    ├── MethodNotAllowed         405
    ├── Conflict                 409
    │   ├── IllegalVerb          409  carries what is allowed instead
    │   ├── WrongOffset          409  of an upload; carries the right one
    │   ├── BusyUpload           409  another request is writing it
    │   ├── UploadInUse          409  a job that has not ended names it
    │   └── KeyInUse             409  the first request with this Idempotency-Key is not answered yet
    ├── InvalidRequest           422  carries one entry per fault: JSON pointer and message
    │   ├── InvalidParameter     422  the fault lies in the query, not in the body
    │   ├── RefusedUpload        422  the content of an upload is not what may be uploaded
    │   └── KeyReused            422  the Idempotency-Key was sent before with another body
    ├── TooLarge                 413
    ├── RangeNotSatisfiable      416
    ├── NotJson                  415
    ├── TooMany                  429
    │   ├── RateLimited              the key asks too often
    │   └── QuotaReached             the tenant must wait for what is under way
    └── Unavailable              503  a part the service stands on does not answer

The response is application/problem+json (RFC 9457): `type` is stable, `detail` is for people, `errors` are the faults.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from search.errors import Problem


class ServiceError(Exception):
    """The service failed."""

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
        """The fact, the same for every occurrence."""
        return (self.__class__.__doc__ or "").strip().splitlines()[0].rstrip(".")


class Malformed(ServiceError):
    """The request cannot be read."""

    status = 400
    type = "urn:fewbits:problem:malformed"


class Unauthorized(ServiceError):
    """The service needs to know who asks."""

    status = 401
    type = "urn:fewbits:problem:unauthorized"
    headers: Mapping[str, str] = {"WWW-Authenticate": 'Bearer realm="fewbits"'}


class Forbidden(ServiceError):
    """The service does not do this for whoever asks."""

    status = 403
    type = "urn:fewbits:problem:forbidden"


class InsufficientScope(Forbidden):
    """The key may not do this."""

    type = "urn:fewbits:problem:insufficient-scope"


class QuotaExhausted(Forbidden):
    """The tenant has used up what it may use."""

    type = "urn:fewbits:problem:quota-exhausted"

    def __init__(self, quota: str, detail: str) -> None:
        self.quota = quota
        super().__init__(f"{quota}: {detail}")


class NotFound(ServiceError):
    """There is no such thing."""

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
    """This cannot be sent in any of the formats that are asked for."""

    status = 406
    type = "urn:fewbits:problem:not-acceptable"


class NoSuchPath(NotFound):
    """The service has nothing at this path."""

    type = "urn:fewbits:problem:no-such-path"


class MethodNotAllowed(ServiceError):
    """The path does not know this method."""

    status = 405
    type = "urn:fewbits:problem:method-not-allowed"


class UploadNotFound(NotFound):
    """No model or data set was uploaded under this id."""

    type = "urn:fewbits:problem:upload-not-found"


class Conflict(ServiceError):
    """The state of the job does not allow this."""

    status = 409
    type = "urn:fewbits:problem:conflict"


class IllegalVerb(Conflict):
    """The state of the job does not allow this."""

    def __init__(self, verb: str, why: str, allowed: Sequence[str]) -> None:
        self.allowed = tuple(allowed)
        super().__init__(f"cannot {verb}: {why}; possible are {', '.join(self.allowed) or 'none'}")


class KeyInUse(Conflict):
    """The first request with this Idempotency-Key is not answered yet."""

    type = "urn:fewbits:problem:idempotency-key-in-use"


class WrongOffset(Conflict):
    """The part does not begin where the upload's bytes end."""

    type = "urn:fewbits:problem:wrong-offset"

    def __init__(self, offset: int) -> None:
        super().__init__(
            f"{offset} bytes are there: go on from Upload-Offset", {"Upload-Offset": str(offset)}
        )


class BusyUpload(Conflict):
    """Another request is writing to this upload."""

    type = "urn:fewbits:problem:busy-upload"


class UploadInUse(Conflict):
    """A job that has not ended names this upload."""

    type = "urn:fewbits:problem:upload-in-use"


class InvalidRequest(ServiceError):
    """The request cannot be carried out as written."""

    status = 422
    type = "urn:fewbits:problem:invalid-request"

    def __init__(self, problems: Sequence[Problem], detail: str = "") -> None:
        self.problems = tuple(problems)
        super().__init__(detail or "; ".join(f"{p.pointer}: {p.message}" for p in self.problems[:3]))


class InvalidParameter(InvalidRequest):
    """The request's query cannot be carried out as written."""

    type = "urn:fewbits:problem:invalid-parameter"

    def __init__(self, parameter: str, detail: str) -> None:
        self.parameter = parameter
        super().__init__((), f"{parameter}: {detail}")


class RefusedUpload(InvalidRequest):
    """The content is not what may be uploaded here; nothing of it was kept."""

    type = "urn:fewbits:problem:refused-upload"

    def __init__(self, detail: str) -> None:
        super().__init__((), detail)


class KeyReused(InvalidRequest):
    """The Idempotency-Key was sent before with another body."""

    type = "urn:fewbits:problem:idempotency-key-reused"

    def __init__(self) -> None:
        super().__init__((), "this Idempotency-Key was sent before with another body: take a new key")


class TooLarge(ServiceError):
    """The request's body is too large."""

    status = 413
    type = "urn:fewbits:problem:too-large"


class RangeNotSatisfiable(ServiceError):
    """The file has no such range of bytes."""

    status = 416
    type = "urn:fewbits:problem:range-not-satisfiable"


class NotJson(ServiceError):
    """The request's body must be application/json."""

    status = 415
    type = "urn:fewbits:problem:not-json"


class Unavailable(ServiceError):
    """A part the service stands on does not answer."""

    status = 503
    type = "urn:fewbits:problem:unavailable"


class TooMany(ServiceError):
    """Too much is asked at once."""

    status = 429
    type = "urn:fewbits:problem:too-many"


class RateLimited(TooMany):
    """The key is used too often."""

    type = "urn:fewbits:problem:rate-limited"


class QuotaReached(TooMany):
    """The tenant has as much under way as it may."""

    type = "urn:fewbits:problem:quota-reached"

    def __init__(self, quota: str, detail: str) -> None:
        self.quota = quota
        super().__init__(f"{quota}: {detail}", {"Retry-After": "60"})
