"""A module for a template: the process of a job whose trials are made up, and misbehave if the job's name says so.

The metric of a trial is Keras' epsilon, and what was drawn from its seed: it shows what other trials did to Keras.
"""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from search.history import EpochReport, Measurement
from search.plan import Plan
from search.training.request import Reporter, TrainingRequest
from worker import job_process

#: The same trial is run again after it crashed; it leaves this in the data folder.
CRASHED: Final = "crashed"

prepare = job_process.prepare


def serve(connection: Connection) -> None:
    """Serve as the product does, with other trainings."""
    job_process.load_keras()
    import search.training.evaluate
    import search.training.trial

    search.training.trial.run_trial = made_up
    search.training.evaluate.evaluate_file = lambda *_, **__: {"metric": 0.5, "loss": 0.5}
    job_process.serve(connection)


def made_up(
    plan: Plan, request: TrainingRequest, data: Any, reporter: Reporter, folder: Path, **_: Any
) -> Measurement:
    """In place of `run_trial`."""
    import keras

    misbehave(plan.spec.name, folder)
    metric = keras.config.epsilon() + (request.seed % 1000) / 1e3
    reporter.epoch(EpochReport(0, {"val_accuracy": metric, "val_loss": 0.0}, 0.0))
    (folder / "model.keras").write_text(f"{os.getpid()}")
    cost = plan.pricer.price(request.assignment)
    return Measurement(metric=metric, loss=0.0, cost=cost, durations_s={}, best_epoch=0)


def misbehave(name: str, folder: Path) -> None:
    """What the name of the job says."""
    import keras

    hoard = []
    match name:
        case "poison":
            keras.config.set_epsilon(0.5)
        case "hoard":
            while True:
                hoard.append(b"x" * (32 << 20))
        case "hang":
            time.sleep(600)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "crash once":
            marker = Path(os.environ["FEWBITS_HOME"]) / CRASHED
            if not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGSEGV)
