"""The `fewbits` command line: `main` lists the commands, the modules of `commands` define them.

Every command but serve, worker, migrate, keys, import, cost and profiles only calls SearchClient.
Exit codes: 0 success; 1 the job failed, or the service refused or did not answer; 2 wrong usage; 130 Ctrl-C.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.cli.main import app

__all__ = ["app"]


def __getattr__(name: str) -> object:
    """Import `app` on first use: `python -m service.cli.supervisor` must start fast and needs none of it."""
    if name == "app":
        from service.cli.main import app

        return app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
