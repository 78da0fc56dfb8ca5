"""What a job does with a network of two inputs besides plain trials: sensitivity, calibration, a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from search.data import Dataset, load_inputs
from search.history import EpochReport
from search.plan import Plan
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from search.training.request import FLOAT, TrainingRequest
from search.training.sensitivity import measure_sensitivity
from search.training.trial import run_trial
from search.trial_files import MODEL_FILE
from tests.models.several_inputs import image_and_numbers

COUNT = 40


class Silence:
    """A reporter that no one listens to."""

    def batch(self) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Dataset, Path]:
    """The plan, its data, and the folder of its float model."""
    folder = tmp_path_factory.mktemp("two")
    draw = np.random.default_rng(0)
    labels = np.arange(COUNT) % 3
    np.savez(
        folder / "set.npz",
        x_image=draw.integers(0, 256, (COUNT, 8, 8), dtype=np.uint8),
        x_numbers=(labels[:, None] + draw.normal(size=(COUNT, 5))).astype("float32"),
        y=labels,
    )
    document: dict[str, Any] = {
        "model": {"kind": "architecture", "config": image_and_numbers().get_config()},
        "data": {"kind": "npz", "file": "set.npz"},
        "limits": 8,
        "budget": {"trials": 2},
        "training": {
            "epochs": 1,
            "batch_size": 16,
            "start": "calibrated",
            "distill": {"temperature": 2},
            "augmentation": {
                "image": {"flip": "horizontal", "mixup": 0.2},
                "numbers": {"noise": 0.1, "mixup": 0.2},
            },
        },
    }
    planned = plan(SearchSpec.model_validate(document), folder)
    data = load_inputs(planned.job.data, folder, 1, planned.data.inputs, planned.task.heads)
    (folder / "float").mkdir()
    run_trial(planned, TrainingRequest(FLOAT, seed=1), data, Silence(), folder / "float")
    return planned, data, folder


def test_the_sensitivity_of_every_choice_is_measured(prepared: tuple[Plan, Dataset, Path]) -> None:
    planned, data, folder = prepared
    measured = measure_sensitivity(planned, folder / "float" / MODEL_FILE, 0.5, data)
    assert set(measured.divergences) == set(planned.choices.dimensions())


def test_a_calibrated_trial_learns_from_the_float_model(prepared: tuple[Plan, Dataset, Path]) -> None:
    planned, data, folder = prepared
    values = {name: labels[-1] for name, labels in planned.choices.dimensions().items()}
    float_file = folder / "float" / MODEL_FILE
    request = TrainingRequest(
        planned.choices.assignment(values), seed=1, start_from=float_file, teacher=float_file
    )
    (folder / "trial").mkdir()
    measured = run_trial(planned, request, data, Silence(), folder / "trial")
    model = keras.models.load_model(folder / "trial" / MODEL_FILE)
    assert [tuple(tensor.shape) for tensor in model.inputs] == [(None, 8, 8, 1), (None, 5)]
    assert 0 <= measured.metric <= 1
