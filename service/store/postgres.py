"""Connections to PostgreSQL on which nothing waits for ever.

A server, a pooler or a network that accepts a statement and does not answer is noticed by the client's own clock: TCP
calls the connection alive, and the server's `statement_timeout` is not heard of. Loaded for PostgreSQL alone.
"""

from __future__ import annotations

from typing import Any, Final

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.errors import _WaitTimeout

#: Seconds until a connection must be open, its authentication included.
CONNECT_S: Final = 5

#: Seconds between two looks whether Python has a signal to handle.
_INTERVAL_S: Final = 0.1


class LimitedConnection(psycopg.Connection[Any]):
    """A connection that is closed, with OperationalError, when an answer takes longer than its limit."""

    limit_s: float | None = None

    def wait(self, gen: PQGen[RV], interval: float = _INTERVAL_S, timeout: float | None = None) -> RV:
        """Wait for an answer, no longer than the limit of the connection."""
        limits = [limit for limit in (timeout, self.limit_s) if limit is not None]
        try:
            return super().wait(gen, interval, min(limits, default=None))
        except _WaitTimeout:
            if timeout is not None:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {self.limit_s:g} s") from None


def connect(limit_s: float | None, arguments: Any, options: dict[str, Any]) -> LimitedConnection:
    """An open connection. No statement is prepared on it: a pooler may send each transaction to another server."""
    options = {"connect_timeout": CONNECT_S, "prepare_threshold": None, **options}
    connection = LimitedConnection.connect(*arguments, **options)
    connection.limit_s = limit_s
    return connection
