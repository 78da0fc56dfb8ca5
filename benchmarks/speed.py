"""Speed of trials: retraces, memory, the cost of quantization per step, the gain of a second worker.

Comparisons alternate within one run; medians are shown. Targets (`--check`): nothing traced after the first
trial, memory flat within 5 %, a quantized step at most 1.15 times a float one, a step that trains bits at most 1.5
times, a trial at most 1.25 times its float training, two workers at least 1.8 times one. MNIST is read from
FEWBITS_DATA_DIR; otherwise images are generated.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

import benchmarks.threads  # noqa: F401 -- before TensorFlow is loaded
from benchmarks.workload import BenchmarkJob, Silent, data_folder, has_mnist, load_job
from costmodel.effective import Granularity
from quantization.models.convert import quantize, read_quantizers
from quantization.specs.parse import parse_quantizer
from quantization.switching.trained_bits import train_bits
from search.history import Assignment
from search.networks.architecture import architecture
from search.space.trained_bits import bits_choices
from search.training.build import assemble
from search.training.program import cache as program_cache
from search.training.program.program import Program
from search.training.program.trained_bits import TrainedBitsProgram
from search.training.request import FLOAT, TrainingRequest
from search.training.trial import run_trial

QAT_LIMIT = 1.15
BITS_LIMIT = 1.5
TRIAL_LIMIT = 1.25
MEMORY_LIMIT = 0.05
WORKERS_LEAST = 1.8

#: Trials before memory is compared: the allocator's pools fill during them.
WARM_UP = 20


def run_one(job: BenchmarkJob, assignment: Assignment, folder: Path, seed: int) -> float:
    """One trial as a worker runs it; seconds."""
    began = time.perf_counter()
    run_trial(job.plan, TrainingRequest(assignment, seed), job.data, Silent(), folder)
    return time.perf_counter() - began


# --- retraces and memory -------------------------------------------------------------------------------------


def many_trials(job: BenchmarkJob, count: int, folder: Path) -> dict[str, Any]:
    """Run trials of one network, with searched widths: traces after the first trial, and growth of memory."""
    process, seconds, memory, traces = psutil.Process(), [], [], []
    for number, assignment in zip(range(count), job.assignments(), strict=False):
        seconds.append(run_one(job, assignment, folder, number))
        memory.append(process.memory_info().rss / 2**20)
        traces.append(program_cache.traces())
    settled = memory[min(WARM_UP, count // 2) :]
    tenth = max(1, len(settled) // 10)
    begin, end = statistics.median(settled[:tenth]), statistics.median(settled[-tenth:])
    return {
        "trials": count,
        "first_s": seconds[0],
        "trial_s": statistics.median(seconds[1:]),
        "trials_a_minute": 60 / statistics.median(seconds[1:]),
        "retraces": traces[-1] - traces[0],
        "memory_mb": end,
        "memory_growth": end / begin - 1,
    }


# --- what quantization adds ----------------------------------------------------------------------------------


class Stepper:
    """Runs epochs of an assignment (None: the float network) in one program."""

    def __init__(self, job: BenchmarkJob, assignment: Assignment | None) -> None:
        training = job.spec.training
        config = architecture(job.plan.job.model)
        model = assemble(assignment or FLOAT, config, 1)
        self._program = self._program_of(model, job)
        self._arguments = self._program.arguments(model, training.base_rate, training.batch_size)
        self._state = self._program.state(model)
        self._train = program_cache.on_device(job.data, "train")
        self._validation = program_cache.on_device(job.data, "validation")
        self._batches = -(-len(self._train) // training.batch_size)
        self._order = np.random.default_rng(0).permutation(len(self._train)).astype(np.int32)

    def _program_of(self, model: Any, job: BenchmarkJob) -> Program:
        return Program(model, job.plan.task, job.spec.training.optimizer)

    def epoch(self, measure: bool = False) -> float:
        """Train an epoch, and with `measure` evaluate it; CPU-seconds, which other processes do not lengthen."""
        began = time.process_time()
        self._state, _ = self._program.train(
            self._arguments, self._state, self._train, self._order, 0, self._batches
        )
        if measure:
            self._program.evaluate(self._arguments, self._state, self._validation)
        return time.process_time() - began


class BitsStepper(Stepper):
    """Runs epochs with trained bits, from those of an assignment; `granularity`: that of the weights' fraction bits."""

    def __init__(self, job: BenchmarkJob, assignment: Assignment, granularity: Granularity) -> None:
        self._granularity, self._choices = granularity, bits_choices(job.plan.choices)
        super().__init__(job, assignment)

    def _program_of(self, model: Any, job: BenchmarkJob) -> Program:
        twin = quantize(architecture(job.plan.job.model), read_quantizers(model), {})
        trained = train_bits(twin, self._choices, self._granularity)
        return TrainedBitsProgram(twin, job.plan.task, job.spec.training.optimizer, trained)


#: Names of the ratios of trained bits, and which weights have bits of their own.
TRAINED_BITS = {f"bits of each {granularity}": granularity for granularity in Granularity}

ACTIVATIONS = {
    "quantized_relu": "quantized_relu(4,2)",
    "quantized_relu_po2": "quantized_relu_po2(4,4)",
    "binary": "binary",
    "ternary": "ternary",
}


def step_ratios(job: BenchmarkJob, rounds: int) -> dict[str, float]:
    """Time of a quantized step over that of a float one, by kind of activation; kernels have 4 bits."""
    steppers = {"float": Stepper(job, None)}
    for name, text in ACTIVATIONS.items():
        steppers[name] = Stepper(job, uniform(job, "quantized_bits(4,0,1,alpha=1.0)", text))
    for name, granularity in TRAINED_BITS.items():
        start = uniform(job, "quantized_bits(4,0,1,alpha=1.0)", "quantized_relu(4,2)")
        steppers[name] = BitsStepper(job, start, granularity)
    for stepper in steppers.values():
        stepper.epoch()
    spent: dict[str, list[float]] = {name: [] for name in steppers}
    for _ in range(rounds):
        for name, stepper in steppers.items():
            spent[name].append(stepper.epoch())
    base = statistics.median(spent["float"])
    return {"float_epoch_s": base} | {
        name: statistics.median(times) / base for name, times in spent.items() if name != "float"
    }


def uniform(job: BenchmarkJob, kernel: str, activation: str) -> Assignment:
    """The same quantizers everywhere."""
    values: dict[str, Any] = {}
    for slot in job.plan.choices.slots:
        quantizer = {"kernel": kernel, "activation": activation, "bias": "quantized_bits(8,3,1)"}[slot.slot]
        values[slot.name] = str(parse_quantizer(quantizer))
    values |= {width.name: 1.0 for width in job.plan.choices.widths}
    return job.plan.choices.assignment(values)


def trial_ratio(job: BenchmarkJob, count: int, folder: Path) -> dict[str, float]:
    """Time of a whole trial, with building, evaluation and saving, over float training of the same epochs."""
    plain = Stepper(job, None)
    plain.epoch(measure=True)
    drawn = job.assignments()
    run_one(job, next(drawn), folder, 0)
    ratios, seconds = [], []
    for number in range(1, count + 1):
        began = time.process_time()
        run_one(job, next(drawn), folder, number)
        spent = time.process_time() - began
        base = sum(plain.epoch(measure=True) for _ in range(job.spec.training.epochs))
        ratios.append(spent / base)
        seconds.append(spent)
    return {"trial_s": statistics.median(seconds), "ratio": statistics.median(ratios)}


# --- workers -------------------------------------------------------------------------------------------------


def scaling(trials: int, rounds: int) -> dict[str, float]:
    """Trials a minute of two concurrent processes over those of one; processes have run a trial before."""
    pairs = []
    for _ in range(rounds):
        one = _trials_a_minute(1, trials)
        two = _trials_a_minute(2, trials)
        pairs.append((one, two))
    return {
        "one": statistics.median(one for one, _ in pairs),
        "two": statistics.median(two for _, two in pairs),
        "ratio": statistics.median(two / one for one, two in pairs),
    }


def _trials_a_minute(count: int, trials: int) -> float:
    command = [sys.executable, "-m", "benchmarks.speed", "--worker", str(trials)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()  # it has run its first trial
        began = time.perf_counter()
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            process.wait(timeout=600)
        return 60 * count * trials / (time.perf_counter() - began)
    finally:
        for process in processes:
            process.kill()


def as_worker(trials: int) -> None:
    """One process of `scaling`."""
    with tempfile.TemporaryDirectory() as scratch:
        job = load_job("digits", Path(scratch))
        drawn = job.assignments()
        run_one(job, next(drawn), Path(scratch), 0)
        print("ready", flush=True)
        sys.stdin.readline()
        for number in range(trials):
            run_one(job, next(drawn), Path(scratch), number)


# --- the command ---------------------------------------------------------------------------------------------


def measure(quick: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="fewbits-speed-") as scratch:
        folder = data_folder(Path(scratch))
        out = Path(scratch) / "out"
        out.mkdir()
        mnist = load_job("mnist", folder, **({"training": {"epochs": 1, "batch_size": 512}} if quick else {}))
        return {
            "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
            "images": "MNIST" if has_mnist() else "generated",
            "many": many_trials(load_job("digits", folder), 12 if quick else 500, out),
            "jet": many_trials(load_job("jet", folder), 5 if quick else 50, out),
            "steps": step_ratios(mnist, 2 if quick else 7),
            "trial": trial_ratio(mnist, 2 if quick else 7, out),
            "workers": scaling(4 if quick else 40, 1 if quick else 3),
        }


def show(results: dict[str, Any]) -> None:
    table = Table(title=f"Speed of trials, {results['machine']}, images: {results['images']}")
    table.add_column("what")
    table.add_column("measured", justify="right")
    table.add_column("target", justify="right")
    for name in ("many", "jet"):
        many = results[name]
        label = {"many": "digits_cnn, widths searched", "jet": "jet_mlp"}[name]
        table.add_row(f"{label}: first trial, s", f"{many['first_s']:.2f}", "")
        table.add_row(f"{label}: later trials, s", f"{many['trial_s']:.3f}", "")
        table.add_row(f"{label}: traced after the first of {many['trials']}", f"{many['retraces']}", "0")
        table.add_row(f"{label}: memory, MB", f"{many['memory_mb']:.0f}", "")
        limit = f"<= {MEMORY_LIMIT:.0%}" if name == "many" else ""
        table.add_row(f"{label}: growth of memory", f"{many['memory_growth']:.1%}", limit)
    steps = results["steps"]
    table.add_row("mnist_convblock: epoch of the float network, CPU-s", f"{steps['float_epoch_s']:.2f}", "")
    for name in ACTIVATIONS:
        limit = f"<= {QAT_LIMIT}" if name == "quantized_relu" else ""
        table.add_row(f"mnist_convblock: step with {name} / float", f"{steps[name]:.2f}", limit)
    for name in TRAINED_BITS:
        table.add_row(
            f"mnist_convblock: step that trains {name} / float", f"{steps[name]:.2f}", f"<= {BITS_LIMIT}"
        )
    table.add_row("mnist_convblock: trial, CPU-s", f"{results['trial']['trial_s']:.2f}", "")
    table.add_row(
        "mnist_convblock: trial / float training", f"{results['trial']['ratio']:.2f}", f"<= {TRIAL_LIMIT}"
    )
    workers = results["workers"]
    table.add_row("trials a minute, one worker", f"{workers['one']:.0f}", "")
    table.add_row("two workers / one", f"{workers['ratio']:.2f}", f">= {WORKERS_LEAST}")
    Console().print(table)


def missed(results: dict[str, Any]) -> list[str]:
    """The missed targets."""
    faults = []
    for name in ("many", "jet"):
        if results[name]["retraces"]:
            faults.append(f"{name}: {results[name]['retraces']} retraces")
    if results["many"]["memory_growth"] > MEMORY_LIMIT:
        faults.append(f"memory grew by {results['many']['memory_growth']:.1%}")
    if results["steps"]["quantized_relu"] > QAT_LIMIT:
        faults.append(f"a quantized step takes {results['steps']['quantized_relu']:.2f} times a float one")
    for name in TRAINED_BITS:
        if results["steps"][name] > BITS_LIMIT:
            faults.append(f"a step that trains {name} takes {results['steps'][name]:.2f} times a float one")
    if results["trial"]["ratio"] > TRIAL_LIMIT:
        faults.append(f"a trial takes {results['trial']['ratio']:.2f} times its float training")
    if results["workers"]["ratio"] < WORKERS_LEAST:
        faults.append(f"two workers are {results['workers']['ratio']:.2f} times one")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few trials, few rounds")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--worker", type=int, metavar="TRIALS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        as_worker(options.worker)
        return 0
    results = measure(options.quick)
    print(json.dumps(results, indent=2)) if options.json else show(results)
    faults = missed(results)
    for fault in faults:
        print(f"target missed: {fault}", file=sys.stderr)
    return int(options.check and bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
