"""Client of a fewbits service: `SearchClient`, and `AsyncSearchClient` for programs with an event loop.

Submits and follows jobs, reads trials, downloads models, uploads models and data, prices networks. Needs httpx and
pydantic, and pandas for `to_dataframe`.
"""

from __future__ import annotations

from search.upload_file import Conversion
from service.client import (
    NEVER,
    ArtifactNotFound,
    AsyncSearchClient,
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
    NotUploadable,
    Refused,
    Retry,
    SearchClient,
    TooMany,
    TrialNotFound,
    Unauthorized,
    Unreachable,
)

__all__ = [
    "NEVER",
    "ArtifactNotFound",
    "AsyncSearchClient",
    "ClientError",
    "Conflict",
    "Conversion",
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
