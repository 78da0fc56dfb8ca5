"""Options of training in whole trials, on whatever backend Keras has: `make test` runs this file on JAX as well."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import pytest
from keras import layers

from search.data import Dataset, load_inputs, stored_rows
from search.history import EpochReport, Measurement
from search.plan import Plan
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from search.training.request import FLOAT, TrainingRequest
from search.training.trial import run_trial
from search.trial_files import MODEL_FILE

pytestmark = pytest.mark.filterwarnings(
    # Keras 3.15 saves TensorFlow's tensors in a way numpy 2 would have otherwise.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

COUNT: Final = 60
LABELS: Final = np.arange(COUNT) % 3

#: What `training` says of all that acts inside a compiled step.
OPTIONS: Final[dict[str, Any]] = {
    "augmentation": {
        "flip": "both",
        "shift": 0.1,
        "rotate": 10,
        "zoom": 0.1,
        "noise": 0.1,
        "cutout": 0.2,
        "mixup": 0.2,
        "spec_augment": {"time": 0.2, "frequency": 0.2},
    },
    "warm_up": 0.5,
    "weight_decay": 0.01,
    "clip_norm": 1.0,
    "ema": 0.9,
    "decay": "cosine",
    "patience": 1,
    "label_smoothing": 0.1,
    "focal_gamma": 2.0,
    "class_weight": "balanced",
    "distill": {"temperature": 2, "share": 0.5},
}


class Silence:
    """A reporter that no one listens to."""

    def batch(self) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""


def one_input() -> dict[str, Any]:
    network = keras.Sequential(
        [
            keras.Input((6, 6, 1), name="image"),
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    described: dict[str, Any] = network.get_config()
    return described


def two_inputs() -> dict[str, Any]:
    image, numbers = keras.Input((6, 6, 1), name="image"), keras.Input((2,), name="numbers")
    joined = layers.Concatenate()([layers.Flatten()(image), layers.Dense(4, activation="relu")(numbers)])
    described: dict[str, Any] = keras.Model([image, numbers], layers.Dense(3)(joined)).get_config()
    return described


def prepared(config: dict[str, Any], training: dict[str, Any], folder: Path) -> tuple[Plan, Dataset]:
    draw = np.random.default_rng(0)
    image = (60 * LABELS[:, None, None] + draw.integers(0, 60, (COUNT, 6, 6))).astype(np.uint8)
    names = [layer["config"]["name"] for layer in config["layers"] if layer["class_name"] == "InputLayer"]
    numbers = (LABELS[:, None] + draw.normal(size=(COUNT, 2))).astype(np.float32)
    arrays = {"x": image} if len(names) == 1 else {"x_image": image, "x_numbers": numbers}
    np.savez(folder / "set.npz", y=LABELS, **arrays)
    document = {
        "model": {"kind": "architecture", "config": config},
        "data": {"kind": "npz", "file": "set.npz"},
        "limits": 4,
        "budget": {"trials": 1},
        "training": {"epochs": 1, "batch_size": 16, "start": "float", **training},
    }
    job = plan(SearchSpec.model_validate(document), folder)
    return job, load_inputs(job.job.data, folder, 1, job.data.inputs, job.task.heads)


def run(job: Plan, request: TrainingRequest, data: Dataset, folder: Path) -> Measurement:
    folder.mkdir()
    return run_trial(job, request, data, Silence(), folder)


def test_a_trial_with_every_option_is_trained(tmp_path: Path) -> None:
    job, data = prepared(one_input(), OPTIONS, tmp_path)
    run(job, TrainingRequest(FLOAT, seed=1), data, tmp_path / "float")
    teacher = tmp_path / "float" / MODEL_FILE
    values = {name: labels[-1] for name, labels in job.choices.dimensions().items()}
    request = TrainingRequest(job.choices.assignment(values), seed=3, start_from=teacher, teacher=teacher)
    measured = run(job, request, data, tmp_path / "trial")
    assert np.isfinite(measured.loss)
    assert 0 <= measured.metric <= 1


def test_two_inputs_that_stay_in_their_file_are_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_rows, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(stored_rows, "BLOCK_BYTES", 36 * 4 * 32)
    job, data = prepared(two_inputs(), {}, tmp_path)
    measured = run(job, TrainingRequest(FLOAT, seed=1), data, tmp_path / "float")
    assert np.isfinite(measured.loss)
    assert 0 <= measured.metric <= 1
