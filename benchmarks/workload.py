"""What the speed benchmarks share: jobs, their data, assignments drawn at random, a reporter that says nothing."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.data import Dataset, load
from search.history import Assignment, EpochReport
from search.plan import Plan
from search.plans.kinds import plan
from search.spec.job import SearchSpec

LIMITS = {"by_class": {"Dense": [8, 8, 4], "Conv2D": [4, 8, 4], "Activation": [4], "BatchNormalization": []}}

JOBS: dict[str, dict[str, Any]] = {
    "digits": {
        "model": "digits_cnn",
        "data": "digits",
        "filters": {"by": "layer", "exceptions": ["dense"]},
        "training": {"epochs": 5, "batch_size": 64, "learning_rate": 0.01},
    },
    "jet": {
        "model": "jet_mlp",
        "data": {"kind": "npz", "file": "jet.npz"},
        "training": {"epochs": 5, "batch_size": 1024, "learning_rate": 0.005},
    },
    "mnist": {
        "model": "mnist_convblock",
        "data": {"kind": "mnist", "train_samples": 10_000, "validation_fraction": 1 / 12},
        "training": {"epochs": 3, "batch_size": 512, "learning_rate": 0.02},
    },
}


@dataclass(frozen=True)
class BenchmarkJob:
    """A job, ready to run."""

    plan: Plan
    data: Dataset

    @property
    def spec(self) -> SearchSpec:
        """The job."""
        return self.plan.spec

    def assignments(self, seed: int = 1) -> Iterator[Assignment]:
        """Assignments drawn at random, without end."""
        draw = random.Random(seed)
        dimensions = self.plan.choices.dimensions()
        while True:
            yield self.plan.choices.assignment(
                {name: draw.choice(labels) for name, labels in dimensions.items()}
            )


class Silent:
    """A reporter that says nothing."""

    def batch(self) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""


def data_folder(scratch: Path) -> Path:
    """FEWBITS_DATA_DIR, or a folder with generated data of MNIST's and the jets' shapes; always with jet.npz."""
    folder = Path(os.environ["FEWBITS_DATA_DIR"]) if "FEWBITS_DATA_DIR" in os.environ else None
    if folder is not None and (folder / "mnist.npz").is_file():
        shutil.copyfile(folder / "mnist.npz", scratch / "mnist.npz")
    else:
        _write(scratch / "mnist.npz", _images(12_000, 1), _images(1_000, 2))
    _write(scratch / "jet.npz", _jets(20_480 + 5_120, 3), _jets(1_000, 4))
    return scratch


def has_mnist() -> bool:
    """Whether the real images are there."""
    return (Path(os.environ.get("FEWBITS_DATA_DIR", "")) / "mnist.npz").is_file()


def load_job(name: str, folder: Path, **changes: Any) -> BenchmarkJob:
    """A job by name, on the data of a folder that `data_folder` filled."""
    usual = {"limits": LIMITS, "normalization": "float"}  # as in the libraries that it is compared with
    spec = SearchSpec.model_validate({**usual, **JOBS[name], **changes})
    prepared = plan(spec, folder)
    info = prepared.data
    data = load(spec.data, folder, spec.seed, info.input_shape, preprocessing=info.preprocessing)
    return BenchmarkJob(prepared, data)


def _write(path: Path, train: tuple[Any, Any], test: tuple[Any, Any]) -> None:
    np.savez(path, x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])


def _images(count: int, seed: int) -> tuple[Any, Any]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 10, count)
    patterns = np.random.default_rng(0).random((10, 28, 28)) > 0.7
    noise = draw.integers(0, 120, (count, 28, 28))
    return (patterns[labels] * 130 + noise).astype(np.uint8), labels


def _jets(count: int, seed: int) -> tuple[Any, Any]:
    """Five classes of 16 correlated features that overlap, so that a good tagger reaches about 80 %."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(5, 16))
    labels = draw.integers(0, 5, count)
    return (0.55 * centres[labels] + draw.normal(size=(count, 16))).astype(np.float32), labels
