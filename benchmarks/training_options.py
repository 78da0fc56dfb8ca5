"""What options of training add to the front of a search: the same assignments, trained with and without them.

    python -m benchmarks.training_options [--quick] [--json] [--seeds N] [--trials N] [--epochs N]

Three tasks: `digits`, scikit-learn's images with 200 examples to train on; `keywords`, made-up spectrograms of 32 steps
and 10 bands whose class is a contour of frequencies under noise, 3,000 to train on; and, where FEWBITS_DATA_DIR has
`mnist.npz`, `images`, 3,000 of its images. Every variant of a task trains the same random assignments from the same
seeds, and differs in `training` alone. The hypervolume is the area of accuracy above `FLOOR` and log2 of the energy
below that of the network as it came, as a share of the largest that there could be down to `CHEAPEST` of it.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

import benchmarks.threads  # noqa: F401 -- before TensorFlow is loaded
from benchmarks.workload import Silent, data_folder, has_mnist
from search.data import load_inputs
from search.history import Assignment
from search.plan import Plan
from search.plans.kinds import plan
from search.scoring.pareto import Point, hypervolume
from search.spec.job import SearchSpec
from search.training.request import FLOAT, TrainingRequest
from search.training.trial import run_trial
from search.trial_files import MODEL_FILE

FLOOR: Final = 0.5
CHEAPEST: Final = 1 / 64
STEPS, BANDS, KEYWORDS = 32, 10, 6

_DISTILL: Final = {"distill": {"temperature": 3, "share": 0.5}}
_IMAGES: Final = {"augmentation": {"shift": 0.1, "rotate": 10, "zoom": 0.1}}
_SERIES: Final = {
    "augmentation": {"shift": 0.1, "noise": 0.2, "spec_augment": {"time": 0.2, "frequency": 0.2}}
}

#: Task -> variant -> what it adds to `training`.
VARIANTS: Final[Mapping[str, Mapping[str, dict[str, Any]]]] = {
    task: {"plain": {}, "augmentation": added, "distillation": _DISTILL, "both": added | _DISTILL}
    for task, added in (("digits", _IMAGES), ("keywords", _SERIES), ("images", _IMAGES))
}


@dataclass(frozen=True)
class VariantRun:
    """The trials of a variant from one seed. `hypervolume`: as in the module; `best`: the highest accuracy."""

    task: str
    variant: str
    seed: int
    hypervolume: float
    best: float
    seconds: float


def keywords(path: Path, count: int = 5000) -> None:
    """Spectrograms of contours that rise, fall, bend or stay, at random pitch and onset, under noise."""
    draw = np.random.default_rng(0)
    time_of = np.linspace(0, 1, STEPS)
    contours = [
        time_of,
        1 - time_of,
        np.abs(2 * time_of - 1),
        1 - np.abs(2 * time_of - 1),
        time_of**3,
        0 * time_of,
    ]
    labels = np.arange(count) % KEYWORDS
    bands = np.arange(BANDS)
    x = draw.normal(0, 0.6, (count, STEPS, BANDS)).astype(np.float32)
    for example, label in zip(x, labels, strict=True):
        contour = np.roll(contours[label], draw.integers(-4, 5)) * draw.uniform(3, 5) + draw.uniform(1, 4)
        example += np.exp(-((bands - contour[:, None]) ** 2)) * draw.uniform(0.6, 1.2)
    np.savez(path, x=x, y=labels)


def series_network() -> dict[str, Any]:
    """Two convolutions over time."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((STEPS, BANDS)),
            layers.Conv1D(12, 5, strides=2, activation="relu"),
            layers.Conv1D(16, 5, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(KEYWORDS),
        ]
    ).get_config()


def image_network() -> dict[str, Any]:
    """Two convolutions over an image of MNIST's size."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, 3, strides=2, activation="relu"),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Flatten(),
            layers.Dense(10),
        ]
    ).get_config()


def job(task: str, training: Mapping[str, Any], epochs: int, seed: int) -> SearchSpec:
    """The job of a variant."""
    if task == "digits":
        ends: dict[str, Any] = {"model": "digits_cnn", "data": {"kind": "digits", "train_samples": 200}}
    elif task == "keywords":
        ends = {
            "model": {"kind": "architecture", "config": series_network()},
            "data": {"kind": "npz", "file": "keywords.npz", "train_samples": 3000},
        }
    else:
        ends = {
            "model": {"kind": "architecture", "config": image_network()},
            "data": {"kind": "mnist", "train_samples": 3000},
        }
    return SearchSpec.model_validate(
        {
            **ends,
            "limits": 4,
            "seed": seed,
            "budget": {"trials": 1},
            "training": {"epochs": epochs, "batch_size": 32, "start": "float", "decay": "cosine", **training},
        }
    )


def assignments(job_plan: Plan, count: int, seed: int) -> list[Assignment]:
    """Random assignments, the same for every variant of a task."""
    draw = random.Random(seed)
    dimensions = job_plan.choices.dimensions()
    return [
        job_plan.choices.assignment({name: draw.choice(labels) for name, labels in dimensions.items()})
        for _ in range(count)
    ]


def run(task: str, variant: str, seed: int, trials: int, epochs: int, folder: Path) -> VariantRun:
    """Train all assignments of a variant, the float model first."""
    began = time.perf_counter()
    prepared = plan(job(task, VARIANTS[task][variant], epochs, seed), folder)
    data = load_inputs(prepared.job.data, folder, seed, prepared.data.inputs, prepared.task.heads)
    points = []
    with tempfile.TemporaryDirectory() as files:
        start = Path(files) / "float"
        start.mkdir()
        run_trial(prepared, TrainingRequest(FLOAT, seed=seed), data, Silent(), start)
        teacher = start / MODEL_FILE if prepared.spec.training.distill else None
        for number, assignment in enumerate(assignments(prepared, trials, seed)):
            path = Path(files) / str(number)
            path.mkdir()
            request = TrainingRequest(assignment, seed=number, start_from=start / MODEL_FILE, teacher=teacher)
            measured = run_trial(prepared, request, data, Silent(), path)
            points.append(Point(number, measured.metric, math.log2(measured.cost.value)))
    ceiling = math.log2(prepared.reference.value)
    area = hypervolume(points, metric_floor=FLOOR, cost_ceiling=ceiling)
    largest = (1 - FLOOR) * -math.log2(CHEAPEST)
    best = max(point.metric for point in points)
    return VariantRun(task, variant, seed, area / largest, best, time.perf_counter() - began)


def table(runs: list[VariantRun]) -> str:
    """A line for each variant: mean and deviation over the seeds, and what it adds to the plain one."""
    head = "| task | variant | seeds | hypervolume | added | best accuracy | added |"
    lines = [head, "|---|---|---:|---:|---:|---:|---:|"]
    for task in dict.fromkeys(entry.task for entry in runs):
        plain = [entry for entry in runs if (entry.task, entry.variant) == (task, "plain")]
        for variant in VARIANTS[task]:
            chosen = [entry for entry in runs if (entry.task, entry.variant) == (task, variant)]
            cells = [task, variant, str(len(chosen))]
            for field in ("hypervolume", "best"):
                values, base = ([getattr(entry, field) for entry in part] for part in (chosen, plain))
                deviation = statistics.stdev(values) if len(values) > 1 else 0.0
                cells.append(f"{statistics.fmean(values):.3f} ± {deviation:.3f}")
                cells.append(f"{statistics.fmean(values) - statistics.fmean(base):+.3f}")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one seed, 3 trials of 4 epochs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=12, help="assignments of each variant and seed")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds, trials, epochs = (1, 3, 4) if options.quick else (options.seeds, options.trials, options.epochs)
    with tempfile.TemporaryDirectory() as folder:
        keywords(Path(folder) / "keywords.npz")
        tasks = {task: variants for task, variants in VARIANTS.items() if task != "images" or has_mnist()}
        if len(tasks) < len(VARIANTS):
            print("no images: FEWBITS_DATA_DIR has no mnist.npz", file=sys.stderr)
        data_folder(Path(folder))
        runs = [
            run(task, variant, seed, trials, epochs, Path(folder))
            for task, variants in tasks.items()
            for variant in variants
            for seed in range(1, seeds + 1)
        ]
    if options.json:
        print(json.dumps([asdict(entry) for entry in runs], indent=2))
    else:
        print(table(runs))
        seconds = sum(entry.seconds for entry in runs)
        print(f"\n{seeds} seeds, {trials} assignments of {epochs} epochs, {seconds:,.0f} s")


if __name__ == "__main__":
    main()
