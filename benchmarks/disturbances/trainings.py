"""The process of a job whose trainings are made up: they take time, report epochs and leave files.

The module that a worker's template loads in place of `worker.job_process`.
"""

from __future__ import annotations

import hashlib
import os
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from search.history import Assignment, EpochReport, Measurement
from search.plan import Plan
from search.training.request import Reporter, TrainingRequest
from worker import job_process

#: Seconds that an epoch takes.
EPOCH_S: Final = float(os.environ.get("CHAOS_EPOCH_S", "0.4"))

#: Looks at the lease in an epoch.
_BATCHES: Final = 4

prepare = job_process.prepare


def serve(connection: Connection) -> None:
    """Serve as the product does, with other trainings."""
    job_process.load_keras()
    import search.training.evaluate
    import search.training.trial

    search.training.trial.run_trial = made_up
    search.training.evaluate.evaluate_file = lambda *_, **__: {"metric": 0.5, "loss": 0.5}
    search.training.evaluate.tensors_of_file = lambda *_: {}
    job_process.serve(connection)


def made_up(
    plan: Plan, request: TrainingRequest, data: Any, reporter: Reporter, folder: Path, **_: Any
) -> Measurement:
    """In place of `run_trial`: a metric and a model that depend on all that a real one's depend on."""
    first, epochs = request.initial_epoch, request.epochs or plan.spec.training.epochs
    before = b"" if request.start_from is None else request.start_from.read_bytes()
    trained = f"{request.assignment.key} {request.seed} {first} {epochs}"
    model = hashlib.sha256(before + trained.encode()).hexdigest()
    metric = int(model[:6], 16) / 16**6
    for epoch in range(first, epochs):
        for _batch in range(_BATCHES):
            time.sleep(EPOCH_S / _BATCHES)
            reporter.batch()
        reporter.epoch(EpochReport(epoch, {"val_accuracy": metric, "val_loss": 1 - metric}, EPOCH_S))
    (folder / "model.keras").write_text(model)
    learned = None if request.penalty is None else _bits(plan, model, folder)
    return Measurement(
        metric=metric,
        loss=1 - metric,
        cost=plan.pricer.price(learned or request.assignment),
        durations_s={},
        best_epoch=epochs - 1,
        assignment=learned,
    )


def _bits(plan: Plan, model: str, folder: Path) -> Assignment:
    (folder / "bits.npz").write_text(model)
    drawn = random.Random(model)
    return plan.choices.assignment(
        {name: drawn.choice(labels) for name, labels in plan.choices.dimensions().items()}
    )
