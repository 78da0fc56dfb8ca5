"""What a proposal costs a worker's processor, by the number of trials that the job has.

    python -m benchmarks.throughput [--quick] [--json FILE] [--check] [--oracle random ...]

A job's rows are made by the product's own functions, on SQLite in a temporary folder; trainings are left out. At each
size a trial ends, the job is advanced, and the processor time of the advance is taken: reading what has changed, the
proposal, and its rows. Trials before those that are measured are proposed at random where the oracle has a surrogate,
which continues any trials. `--check` fails where an advance takes more than 1.3 times that at 100 trials plus what a
trial costs a worker besides (PER_TRIAL_MS), and of oracles that learn from all trials more than LEARNING_MS.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from search.history import Measurement
from search.plans.kinds import plan as make_plan
from search.spec.job import SearchSpec
from service.queue import TaskName
from service.settings import Settings
from service.store import claims, jobs, trials
from service.store.blobs import BlobStore
from service.store.jobs import NewJob
from service.store.leases import Claim
from service.store.migrate import upgrade
from service.store.references import BlobLookup
from service.store.session import Database
from worker import preparation
from worker.advance import advance_job
from worker.identity import worker_name
from worker.runtime import Runtime

#: Oracles whose proposals fit a surrogate to the trials, and those that pass over all of them.
SURROGATES: Final = ("bayesian", "frugal")
LEARNING: Final = (*SURROGATES, "gradient")
ORACLES: Final = ("random", "hyperband", "evolution", *LEARNING)
SIZES: Final = (0, 100, 1_000, 10_000)
QUICK_SIZES: Final = (0, 100, 500)

#: Trials that are open while a job is filled, and while it is measured.
_FILLING, _MEASURED = 200, 2
#: Advances at each size; the median counts.
_ADVANCES: Final = 9

#: CPU of a trial of a second's network beside its proposal, on the machine of docs/benchmarks.md.
PER_TRIAL_MS: Final = 37.0
MOST: Final = 1.3
LEARNING_MS: Final = 2_000.0


class _NoQueue:
    """Drops messages: the benchmark does what they would ask for."""

    def enqueue(self, task: TaskName, *ids: str | int) -> None:
        """Drop."""

    def send(self, task: TaskName, *ids: str | int) -> bool:
        """Drop."""
        return True


class Job:
    """A job whose trials end without a training."""

    def __init__(self, home: Path, oracle: str) -> None:
        settings = Settings(home=home, min_free_mb=0)
        database, blobs = Database(settings.database), BlobStore(settings.blob_folder)
        upgrade(database.engine)
        write_data(settings.data_folder)
        self.runtime = Runtime(settings, database, _NoQueue(), blobs, worker_name(os.getpid()))  # type: ignore[arg-type]
        spec = SearchSpec.model_validate(_job(oracle))
        self._plan = make_plan(spec, settings.data_folder, BlobLookup(blobs))
        with database.transaction() as session:
            self.id = jobs.create(session, _stored(spec, self._plan)).id

    def use(self, oracle: str) -> None:
        """Have this oracle go on with the job's trials, as one that is built from their rows."""
        spec = SearchSpec.model_validate(_job(oracle)).model_dump(mode="json")
        with self.runtime.database.transaction() as session:
            job = jobs.locked(session, self.id)
            job.spec = spec | {"parallel_trials": job.parallel_trials}
            job.oracle_state = None
        preparation.clear()

    def advance(self) -> float:
        """Advance the job; milliseconds of processor time."""
        began = time.process_time()
        advance_job(self.runtime, self.id)
        return (time.process_time() - began) * 1000

    def parallel(self, count: int) -> None:
        """Have so many trials open at once."""
        with self.runtime.database.transaction() as session:
            job = jobs.locked(session, self.id)
            job.parallel_trials = count
            job.spec = job.spec | {"parallel_trials": count}

    def end(self, count: int) -> int:
        """End up to so many open trials; how many did."""
        with self.runtime.database.transaction(durable=False) as session:
            claimed = [self._claim(session) for _ in range(count)]
            ended = [claim for claim in claimed if claim is not None]
            for claim in ended:
                record = trials.record(trials.get(session, claim.job_id, claim.number))
                cost = self._plan.pricer.price(record.assignment)
                metric = int(record.assignment.key[:6], 16) / 16**6
                result = Measurement(metric, 1 - metric, cost, {}, 0)
                claims.finish(session, claim, result, artifacts={}, versions={})
        return len(ended)

    def _claim(self, session: Any) -> Claim | None:
        return claims.claim_next(session, 0, worker=self.runtime.worker, lease=timedelta(hours=1))

    def size(self) -> int:
        """How many trials there are."""
        with self.runtime.database.reading() as session:
            return jobs.trial_counts(session, [self.id])[self.id].total()

    def close(self) -> None:
        """Disconnect."""
        self.runtime.database.dispose()


def measure(oracle: str, sizes: Sequence[int]) -> dict[int, float]:
    """Milliseconds of processor time of a proposal, by the number of trials."""
    figures: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="fewbits-throughput-") as home:
        filling = "random" if oracle in SURROGATES else oracle
        job = Job(Path(home), filling)
        job.advance()  # loads what is loaded once
        for size in sizes:
            if filling != oracle and size != sizes[0]:
                job.use(filling)
            job.parallel(_FILLING)
            while job.size() < size:
                job.advance()
                job.end(_FILLING)
            job.parallel(_MEASURED)
            job.end(_FILLING)
            if filling != oracle:
                job.use(oracle)
            job.advance()
            costs = []
            for _ in range(_ADVANCES):
                job.end(1)
                costs.append(job.advance())
            figures[size] = statistics.median(costs)
        job.close()
    return figures


def faults(figures: dict[str, dict[int, float]]) -> list[str]:
    """What grows more than it may."""
    slow = []
    for oracle, by_size in figures.items():
        largest = max(by_size)
        if oracle in LEARNING:
            if by_size[largest] > LEARNING_MS:
                slow.append(
                    f"{oracle}: {by_size[largest]:.1f} ms at {largest} trials, more than {LEARNING_MS:g}"
                )
            continue
        most = MOST * (PER_TRIAL_MS + by_size[100])
        if PER_TRIAL_MS + by_size[largest] > most:
            slow.append(
                f"{oracle}: {by_size[largest]:.1f} ms at {largest} trials, {by_size[100]:.1f} ms at 100"
            )
    return slow


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to 500 trials")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--check", action="store_true", help="exit with 1 where the cost grows too much")
    parser.add_argument("--oracle", nargs="+", choices=ORACLES, default=list(ORACLES))
    options = parser.parse_args()
    sizes = QUICK_SIZES if options.quick else SIZES
    figures = {}
    for oracle in options.oracle:
        figures[oracle] = measure(oracle, sizes)
        print(
            f"{oracle:10}", *(f"{size:>6}: {ms:6.1f} ms" for size, ms in figures[oracle].items()), flush=True
        )
    if options.json:
        options.json.write_text(json.dumps({"proposal_cpu_ms": figures}, indent=1))
    if options.check and (growing := faults(figures)):
        sys.exit("\n".join(growing))


def _job(oracle: str) -> dict[str, Any]:
    return {
        "name": "throughput",
        "model": "jet_mlp",
        "data": {"kind": "npz", "file": "tiny.npz", "preprocessing": "none"},
        "limits": {"by_class": {"Dense": [8, 8, 8], "Activation": [8]}},
        "training": {"epochs": 9},
        "oracle": {"kind": oracle},
        "budget": {"trials": 100_000},
        "seed": 1,
    }


def _stored(spec: SearchSpec, plan: Any) -> NewJob:
    return NewJob(
        name=spec.name,
        spec=spec.model_dump(mode="json"),
        cost_unit="energy_pj",
        reference_cost=plan.reference.value,
        reference={"energy_pj": plan.reference.energy_pj},
        space_size=str(plan.choices.size()),
        warnings=(),
    )


def write_data(folder: Path) -> None:
    """Sixteen numbers, five classes."""
    drawn = np.random.default_rng(0)
    parts: dict[str, Any] = {}
    for part, count in (("train", 300), ("test", 100)):
        parts[f"x_{part}"] = drawn.normal(size=(count, 16)).astype("float32")
        parts[f"y_{part}"] = (np.arange(count) % 5).astype("int64")
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "tiny.npz", **parts)


if __name__ == "__main__":
    main()
