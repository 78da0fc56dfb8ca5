"""Clients of the service: SearchClient, and AsyncSearchClient for programs with an event loop.

`calls` has the requests as values, which both share; `retry` says when one is retried.
"""

from service.client._async.client import AsyncSearchClient
from service.client._sync.client import SearchClient
from service.client.errors import (
    ArtifactNotFound,
    ClientError,
    Conflict,
    Damaged,
    ExportFailed,
    Forbidden,
    Invalid,
    JobNotFound,
    NotAcceptable,
    NotFound,
    NotReady,
    Refused,
    TooMany,
    TrialNotFound,
    Unauthorized,
    Unreachable,
)
from service.client.retry import NEVER, Retry
from service.client.uploads import NotUploadable

__all__ = [
    "NEVER",
    "ArtifactNotFound",
    "AsyncSearchClient",
    "ClientError",
    "Conflict",
    "Damaged",
    "ExportFailed",
    "Forbidden",
    "Invalid",
    "JobNotFound",
    "NotAcceptable",
    "NotFound",
    "NotReady",
    "NotUploadable",
    "Refused",
    "Retry",
    "SearchClient",
    "TooMany",
    "TrialNotFound",
    "Unauthorized",
    "Unreachable",
]
