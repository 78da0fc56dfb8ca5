"""Trials trained together on JAX: trials a minute by the number of trials in a program, on JAX' default device.

Needs `pip install fewbits[jax]`. Equal widths, random quantizers; each count is timed after a run that compiles it.
Target on an accelerator (`--check`): 8 or more together at least 4 times as many trials a minute as one by one.
"""

from __future__ import annotations

import argparse
import os

os.environ["KERAS_BACKEND"] = "jax"

import json
import platform
import statistics
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import keras
from rich.console import Console
from rich.table import Table

from benchmarks.batched import train_together
from benchmarks.workload import JOBS, BenchmarkJob, data_folder, load_job
from search.history import Assignment
from search.networks.architecture import architecture
from search.training.build import assemble
from search.training.program.cache import ProgramSpec
from search.training.program.vmap import trials_that_fit
from search.training.trial import program_spec

COUNTS = (1, 2, 4, 8, 16, 32, 64, 128)
LEAST = 4.0
MEMORY_BYTES = 8 * 2**30


def timed(job: BenchmarkJob, shared: ProgramSpec, assignments: list[Assignment]) -> tuple[float, list[float]]:
    """Seconds to train these assignments together, and their metrics."""
    began = time.perf_counter()
    seeds = range(1, len(assignments) + 1)
    trained = train_together(shared, assignments, seeds, job.spec.training, job.data)
    return time.perf_counter() - began, [epochs[-1].validation.accuracy for epochs, _ in trained]


def measure(names: list[str], quick: bool) -> dict[str, Any]:
    device = jax.devices()[0]
    host = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    results: dict[str, Any] = {
        "machine": f"{device.device_kind} ({device.platform}), {host}",
        "accelerator": device.platform != "cpu",
        "versions": {"jax": jax.__version__, "keras": keras.__version__},
        "jobs": {},
    }
    with tempfile.TemporaryDirectory(prefix="fewbits-gpu-") as scratch:
        folder = data_folder(Path(scratch))
        for name in names:
            changes = {"filters": {"by": "none"}}
            results["jobs"][name] = rows(
                load_job(name, folder, **changes), 2 if quick else len(COUNTS), quick
            )
    return results


def rows(job: BenchmarkJob, counts: int, quick: bool) -> list[dict[str, Any]]:
    shared, drawn = program_spec(job.plan, architecture(job.plan.job.model)), job.assignments()
    first = next(job.assignments())
    model = assemble(first, shared.architecture, 1)
    most = trials_that_fit(model, job.spec.training.batch_size, MEMORY_BYTES)
    result = []
    for count in COUNTS[:counts]:
        if count > most:
            break
        compiled, _ = timed(job, shared, list(islice(drawn, count)))
        runs = [timed(job, shared, list(islice(drawn, count))) for _ in range(1 if quick else 3)]
        seconds = statistics.median(duration for duration, _ in runs)
        result.append(
            {
                "together": count,
                "first_s": compiled,
                "trial_s": seconds / count,
                "trials_a_minute": 60 * count / seconds,
                "median_accuracy": statistics.median(metric for _, metrics in runs for metric in metrics),
            }
        )
    return result


def show(results: dict[str, Any]) -> None:
    for name, runs in results["jobs"].items():
        training = JOBS[name]["training"]
        table = Table(title=f"{JOBS[name]['model']}, {training['epochs']} epochs, {results['machine']}")
        for column in (
            "together",
            "first, s",
            "s a trial",
            "trials a minute",
            "times one by one",
            "median accuracy",
        ):
            table.add_column(column, justify="right")
        for row in runs:
            table.add_row(
                str(row["together"]),
                f"{row['first_s']:.1f}",
                f"{row['trial_s']:.3f}",
                f"{row['trials_a_minute']:.0f}",
                f"{row['trials_a_minute'] / runs[0]['trials_a_minute']:.2f}",
                f"{row['median_accuracy']:.4f}",
            )
        Console().print(table)


def missed(results: dict[str, Any]) -> list[str]:
    """The missed targets; a CPU has none, as stacking trials does not pay there."""
    if not results["accelerator"]:
        return []
    faults = []
    for name, runs in results["jobs"].items():
        gains = [row["trials_a_minute"] / runs[0]["trials_a_minute"] for row in runs if row["together"] >= 8]
        if max(gains, default=0.0) < LEAST:
            faults.append(f"{name}: {max(gains, default=0.0):.1f} times the trials a minute of one by one")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one and two together, once each")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--jobs", nargs="+", choices=sorted(JOBS), default=["jet", "digits"])
    options = parser.parse_args()
    results = measure(options.jobs, options.quick)
    print(json.dumps(results, indent=2)) if options.json else show(results)
    faults = missed(results)
    for fault in faults:
        print(f"target missed: {fault}", file=sys.stderr)
    return int(options.check and bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
