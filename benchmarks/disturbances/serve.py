"""`python -m benchmarks.disturbances.serve`: `fewbits serve` as it is, but for workers with made-up trainings."""

from __future__ import annotations

import sys

from search.installation import module_command
from service.cli import serving


def worker_command(workers: int | None) -> list[str]:
    """In place of the product's."""
    return module_command("benchmarks.disturbances.worker", "--concurrency", str(workers or 1))


if __name__ == "__main__":
    port, workers = (int(argument) for argument in sys.argv[1:])
    serving.worker_command = worker_command
    serving.serve_here(host="127.0.0.1", port=port, workers=workers)
