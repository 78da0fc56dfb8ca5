"""The networks of `keras.applications`, as a user sends them: accepted, priced, and one trial of one step each.

    python -m benchmarks.applications [--quick] [--check] [--json]

Each is made by Keras at a small size of images, without weights, and described by `model.to_json()`. Target
(`--check`): all of them are accepted, and trials of all of them train.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from search.data import load_inputs
from search.history import EpochReport
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from search.training.request import TrainingRequest
from search.training.trial import run_trial

#: Network -> length of an image's sides.
SIZES: Final = {
    "MobileNet": 96,
    "MobileNetV2": 96,
    "MobileNetV3Small": 96,
    "EfficientNetB0": 64,
    "ResNet50": 64,
    "DenseNet121": 64,
}
QUICK: Final = ("MobileNetV3Small",)
CLASSES: Final = 10
BATCH: Final = 8
_QUANTIZED: Final = (
    "Conv2D",
    "DepthwiseConv2D",
    "Dense",
    "Activation",
    "ReLU",
    "Add",
    "Multiply",
    "Concatenate",
)


@dataclass(frozen=True)
class Application:
    """What was measured of a network. `error`: why it was refused or could not be trained; empty if it was."""

    name: str
    size: int
    layers: int = 0
    weights: int = 0
    energy_uj: float = 0.0
    dry_run_s: float = 0.0
    trial_s: float = 0.0
    error: str = ""


class _Silence:
    """A reporter that no one listens to."""

    def batch(self) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""


def measure(name: str, folder: Path) -> Application:
    """One network on its way."""
    size = SIZES[name]
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=CLASSES)
    document, weights = json.loads(model.to_json()), model.count_params()
    _write_data(folder / "data.npz", size)
    try:
        began = time.perf_counter()
        job = plan(_spec(document), folder)
        planned = time.perf_counter()
        data = load_inputs(job.job.data, folder, 1, job.data.inputs, job.task.heads)
        labels = {dimension: names[-1] for dimension, names in job.choices.dimensions().items()}
        request = TrainingRequest(job.choices.assignment(labels), seed=1)
        cost = run_trial(job, request, data, _Silence(), folder).cost
    except Exception as error:
        return Application(name, size, weights=weights, error=f"{type(error).__name__}: {error}"[:300])
    done = time.perf_counter()
    return Application(
        name, size, len(job.network.layers), weights, cost.energy_pj / 1e6, planned - began, done - planned
    )


def _spec(document: dict[str, Any]) -> SearchSpec:
    classes = {layer["class_name"] for layer in document["config"]["layers"]} & {*_QUANTIZED}
    job = {
        "model": {"kind": "architecture", "config": document},
        "data": {"kind": "npz", "file": "data.npz"},
        "limits": {"by_class": dict.fromkeys(sorted(classes), 8)},
        "training": {"epochs": 1, "batch_size": BATCH},
        "budget": {"trials": 1},
    }
    return SearchSpec.model_validate(job)


def _write_data(path: Path, size: int) -> None:
    """As many examples as make one step, and as many to test; a fifth more for validation."""
    draw = np.random.default_rng(1)
    arrays = {}
    for part, count in (("train", BATCH), ("val", CLASSES), ("test", CLASSES)):
        arrays[f"x_{part}"] = draw.integers(0, 256, (count, size, size, 3)).astype("uint8")
        arrays[f"y_{part}"] = np.arange(count) % CLASSES
    np.savez(path, **arrays)


def _rows(results: list[Application]) -> Iterator[str]:
    yield "| network | image | layers | weights | energy, uJ | dry run, s | trial, s | |"
    yield "|---|---:|---:|---:|---:|---:|---:|---|"
    for it in results:
        yield (
            f"| {it.name} | {it.size} | {it.layers} | {it.weights:,} | {it.energy_uj:.1f} | {it.dry_run_s:.1f}"
            f" | {it.trial_s:.1f} | {it.error} |"
        )


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and with --check say whether all of them train."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.applications", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    parser.add_argument("--check", action="store_true", help="exit 1 if one is refused or does not train")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args(arguments)
    results = []
    for name in QUICK if options.quick else SIZES:
        with tempfile.TemporaryDirectory(prefix="fewbits-applications-") as folder:
            results.append(measure(name, Path(folder)))
        keras.backend.clear_session()
    print(
        json.dumps([asdict(result) for result in results], indent=2)
        if options.json
        else "\n".join(_rows(results))
    )
    return int(options.check and any(result.error for result in results))


if __name__ == "__main__":
    sys.exit(main())
