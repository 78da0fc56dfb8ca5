"""The `fewbits` command. Everything but serve, worker, migrate, cost and profiles only calls SearchClient.

What is slow to import is imported inside the commands: `fewbits --help` answers at once.
Exit codes: 0 it worked, 1 the job failed or the service refused or did not answer, 2 the command was wrong.
"""

from __future__ import annotations

from service.cli.commands import app

__all__ = ["app"]
