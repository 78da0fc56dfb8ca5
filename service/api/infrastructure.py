"""What a client is told where the database or a disk fails the service."""

from __future__ import annotations

import logging

from service.errors import Unavailable
from service.store.session import reason_of

log = logging.getLogger(__name__)


def unavailable(error: Exception) -> Unavailable:
    """The response to a request that failed for what passes by itself; the log has the details."""
    log.error("the request failed: %s", reason_of(error), exc_info=error)
    if isinstance(error, OSError):
        return Unavailable("a disk of the service is full or does not respond: try again later")
    return Unavailable("the database does not respond")
