"""The front of EBOPs and accuracy at equal epochs: `python -m benchmarks.front`, against HGQ2.

Every side trains the digits network for the same number of epochs in all, on the same examples, with Adam, 0.005 and
batches of 64. HGQ2 trains once, its beta rising by equal factors, and leaves a point at the end of every epoch; our
searches leave a point a trial of `EPOCHS`, those of `gradient` a trial of one. The float model of searches that need
one counts as a trial. `gradient+ema` measures moving averages of weights and bits (`training.ema`), as no other side.

One ruler: EBOPs of the trained weights. A weight counts the bits from the first to the last one set in its code, an
activation the bits of its type; HGQ2's, which has a type for each element, the mean of them. A folded batch
normalization is part of the kernel on our side; HGQ2 folds it, too. The hypervolume is the area of accuracy above
`FLOOR` and log2 of EBOPs below those of the network with 8 bits everywhere.

HGQ2 runs in an environment of its own, as `benchmarks.peers`; without a package index its side is skipped.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

import benchmarks.threads  # noqa: F401 -- before TensorFlow is loaded
from benchmarks.peers import SIDES, environment
from benchmarks.workload import Silent
from search.data import Dataset, load
from search.engine import propose
from search.history import PENALTY, TrialRecord, TrialStatus
from search.plan import Plan
from search.plans.kinds import plan
from search.scoring.pareto import Point, hypervolume
from search.space.sensitivity import Sensitivity, needs_sensitivity
from search.spec.job import SearchSpec
from search.training.request import FLOAT, TrainingRequest
from search.training.sensitivity import measure_sensitivity
from search.training.trial import run_trial
from search.trial_files import BITS_FILE, MODEL_FILE

#: Epochs of a trial, and trials of a search: 200 epochs in all.
EPOCHS, TRIALS = 10, 20

#: Packages of HGQ2's environment.
HGQ2: Final = ("HGQ2==0.2.0", "jax")

#: Accuracy from which the hypervolume counts.
FLOOR: Final = 0.9

#: Accuracies at which the least EBOPs are shown.
LEVELS: Final = (0.972, 0.986, 0.993)

#: Targets: hypervolume of our best search as a share of HGQ2's, and its EBOPs at 99 % of HGQ2's best accuracy.
LEAST_AREA, MOST_EBOPS = 1.0, 0.8

#: Our searches: name -> oracle. A descent has as many stages as the epochs allow.
SEARCHES: Final[Mapping[str, Any]] = {
    "random": "random",
    "frugal": {"kind": "frugal", "gain": "front"},
    "frugal+sensitivity": {"kind": "frugal", "gain": "front", "initial": "sensitivity"},
    "descent": {"kind": "descent"},
    "gradient": {"kind": "gradient"},
    "gradient+ema": {"kind": "gradient"},
}

#: What the training of a search has besides.
TRAINING: Final[Mapping[str, Any]] = {"gradient+ema": {"ema": 0.95}}

#: (accuracy on the validation data, EBOPs)
Front = list[tuple[float, float]]


def job(oracle: Any, seed: int, trials: int = TRIALS, **training: Any) -> SearchSpec:
    """The job of our side; `training`: what differs from the recipe of all sides."""
    epochs = EPOCHS
    if isinstance(oracle, dict) and oracle["kind"] == "descent":
        oracle = {**oracle, "stages": trials - 1}  # the float model is trained as long as a trial
    if isinstance(oracle, dict) and oracle["kind"] == "gradient":
        trials, epochs = trials * EPOCHS, 1  # a point an epoch, as HGQ2
        oracle = {**oracle, "stages": trials}
    return SearchSpec.model_validate(
        {
            "model": "digits_cnn",
            "data": "digits",
            "limits": {"by_class": {"Conv2D": 8, "Dense": 8, "Activation": 8}},
            "quantizers": {
                "kernel": [f"quantized_bits({bits},0,1,alpha=1.0)" for bits in range(2, 9)],
                "bias": ["quantized_bits(8,3,1)"],
                "activation": [f"quantized_relu({bits},{min(bits, 2)})" for bits in range(1, 9)],
            },
            "goal": {"kind": "ebops", "effective": "weight"},
            "training": {"epochs": epochs, "batch_size": 64, "learning_rate": 0.005, **training},
            "oracle": oracle,
            "budget": {"trials": trials},
            "seed": seed,
        }
    )


# --- our side ----------------------------------------------------------------------------------------------------


def searched(name: str, seed: int, trials: int) -> Front:
    """The trials of a search, as a worker runs it."""
    prepared = plan(job(SEARCHES[name], seed, trials, **TRAINING.get(name, {})), Path())
    data = load(prepared.job.data, Path(), seed, prepared.data.input_shape)
    with tempfile.TemporaryDirectory() as folder:
        return _searched(prepared, data, Path(folder))


def _searched(prepared: Plan, data: Dataset, folder: Path) -> Front:
    spec, sensitivity = prepared.spec, None
    trials = spec.budget.trials
    if needs_sensitivity(spec.oracle):
        sensitivity, trials = _sensitivity(prepared, data, folder), trials - 1
    history: list[TrialRecord] = []
    state: str | None = None
    while len(history) < trials:
        proposal = propose(
            spec,
            prepared.choices,
            prepared.pricer,
            prepared.reference.value,
            history,
            state,
            1,
            sensitivity,
        )
        if not proposal.trials:
            break
        [proposed], state = proposal.trials, proposal.state
        own = folder / str(proposed.number)
        own.mkdir()
        parent = None if proposed.parent is None else folder / str(proposed.parent)
        penalty = proposed.oracle_trial["values"].get(PENALTY)
        request = TrainingRequest(
            proposed.assignment,
            proposed.seed,
            epochs=proposed.epochs,
            initial_epoch=proposed.initial_epoch,
            start_from=None if parent is None else parent / MODEL_FILE,
            penalty=penalty,
            start_bits=None if parent is None or penalty is None else parent / BITS_FILE,
        )
        measured = run_trial(prepared, request, data, Silent(), own)
        history.append(
            TrialRecord(
                proposed.number,
                measured.assignment or proposed.assignment,
                TrialStatus.DONE,
                measured.metric,
                measured.cost.value,
                oracle_trial=proposed.oracle_trial,
                epochs=proposed.epochs,
                initial_epoch=proposed.initial_epoch,
                parent=proposed.parent,
            )
        )
    return [(record.metric or 0.0, record.cost or 0.0) for record in history]


def _sensitivity(prepared: Plan, data: Dataset, folder: Path) -> Sensitivity:
    own = folder / "float"
    own.mkdir()
    whole = run_trial(prepared, TrainingRequest(FLOAT, prepared.spec.seed), data, Silent(), own)
    return measure_sensitivity(prepared, own / MODEL_FILE, whole.metric, data)


# --- HGQ2's side ---------------------------------------------------------------------------------------------------


def hgq2(seed: int, epochs: int, granularity: str) -> Front | None:
    """The epochs of one training by HGQ2; None where its environment cannot be created."""
    try:
        python = environment("hgq2", HGQ2)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"HGQ2 is skipped: {error}", file=sys.stderr)
        return None
    data = load(job("random", seed).data, Path(), seed, (8, 8, 1))
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "digits.npz"
        np.savez(
            arrays,
            x_train=data.x_train,
            y_train=data.y_train,
            x_validation=data.x_validation,
            y_validation=data.y_validation,
        )
        command = [str(python), str(SIDES / "hgq2.py"), str(arrays), str(epochs), granularity, str(seed)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [(float(accuracy), float(ebops)) for accuracy, ebops in json.loads(done.stdout.splitlines()[-1])]


# --- what the fronts say -------------------------------------------------------------------------------------------


def area(front: Front, ceiling: float) -> float:
    """The hypervolume of a front."""
    points = [Point(i, accuracy, math.log2(max(ebops, 1.0))) for i, (accuracy, ebops) in enumerate(front)]
    return hypervolume(points, metric_floor=FLOOR, cost_ceiling=math.log2(ceiling))


def least_ebops(front: Front, accuracy: float) -> float | None:
    """The least EBOPs with at least this accuracy; None if no point has it."""
    return min((ebops for reached, ebops in front if reached >= accuracy), default=None)


def ceiling_ebops() -> float:
    """EBOPs of the types with 8 bits everywhere."""
    prepared = plan(job("random", 1), Path())
    values = {name: labels[-1] for name, labels in prepared.choices.dimensions().items()}
    return prepared.pricer.price(prepared.choices.assignment(values)).value


def compared(fronts: Mapping[str, Sequence[Front]]) -> dict[str, Any]:
    """Medians over the seeds: hypervolume, and least EBOPs at each level and at 99 % of HGQ2's best accuracy."""
    ceiling = ceiling_ebops()
    rivals = [front for name, of_name in fronts.items() if name.startswith("hgq2") for front in of_name]
    levels = [*LEVELS, *([0.99 * max(max(p)[0] for p in rivals)] if rivals else [])]
    return {
        name: {
            "area": float(np.median([area(front, ceiling) for front in of_name])),
            "best": float(np.median([max(front)[0] for front in of_name])),
            "ebops": {
                f"{level:.4f}": _median([least_ebops(front, level) for front in of_name]) for level in levels
            },
            "fronts": of_name,
        }
        for name, of_name in fronts.items()
        if of_name
    }


def _median(values: Sequence[float | None]) -> float | None:
    """The median, where what was not reached is larger than everything; None if that is it."""
    middle = float(np.median([math.inf if value is None else value for value in values]))
    return middle if math.isfinite(middle) else None


def checks(results: Mapping[str, Any]) -> list[str]:
    """The missed targets, against the better of HGQ2's."""
    rivals = {name: numbers for name, numbers in results.items() if name.startswith("hgq2")}
    ours = {name: numbers for name, numbers in results.items() if name in SEARCHES}
    if not rivals or not ours:
        return []
    best, rival = (max(group.values(), key=lambda numbers: numbers["area"]) for group in (ours, rivals))
    missed = []
    if best["area"] < LEAST_AREA * rival["area"]:
        missed.append(f"hypervolume {best['area']:.3f}, HGQ2's {rival['area']:.3f}")
    level = list(rival["ebops"])[-1]
    mine, other = best["ebops"][level], rival["ebops"][level]
    if other is not None and (mine is None or mine > MOST_EBOPS * other):
        missed.append(f"EBOPs at an accuracy of {level}: {mine}, HGQ2's {other:.0f}")
    return missed


def show(results: Mapping[str, Any], console: Console) -> None:
    """Print the table."""
    levels = list(next(iter(results.values()))["ebops"])
    report = Table("side", "hypervolume", "best accuracy", *(f"EBOPs at {level}" for level in levels))
    for name, numbers in results.items():
        cells = ["-" if value is None else f"{value:,.0f}" for value in numbers["ebops"].values()]
        report.add_row(name, f"{numbers['area']:.3f}", f"{numbers['best']:.4f}", *cells)
    console.print(report)


def main() -> int:
    """Measure and print; with `--check` the exit status is 1 if a target is missed."""
    options = _options()
    console = Console(stderr=options.json)
    trials, seeds = (3, 1) if options.quick else (options.trials, options.seeds)
    fronts: dict[str, list[Front]] = {}
    for seed in range(1, seeds + 1):
        for name in options.sides:
            if name in SEARCHES:
                front: Front | None = searched(name, seed, trials)
            else:
                front = hgq2(seed, trials * EPOCHS, name.partition(" ")[2])
            if front:
                fronts.setdefault(name, []).append(front)
                console.print(f"seed {seed}, {name}: {len(front)} points")
    results = compared(fronts)
    show(results, console)
    if options.json:
        machine = f"{platform.machine()}, Python {platform.python_version()}"
        print(json.dumps({"machine": machine, "trials": trials, "seeds": seeds, "sides": results}))
    missed = checks(results)
    for line in missed:
        console.print(f"missed: {line}")
    return int(bool(missed) and options.check)


def _options() -> argparse.Namespace:
    sides = [*SEARCHES, "hgq2 weight", "hgq2 tensor"]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one seed, three trials")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument("--sides", nargs="+", choices=sides, default=sides)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=TRIALS, help=f"of {EPOCHS} epochs each")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
