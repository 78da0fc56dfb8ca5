"""`python -m benchmarks.disturbances.worker`: the product's worker, with made-up trainings."""

from __future__ import annotations

import worker.app
from worker.__main__ import main

if __name__ == "__main__":
    worker.app.MODULE = "benchmarks.disturbances.trainings"
    main()
