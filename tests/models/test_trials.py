"""Two trials of networks as users write them; the best model, loaded in a new process, measures and costs the same.

Some in every test run; all of them, which takes many minutes, with FEWBITS_TEST_ALL_MODELS=1.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import pytest

from search.history import EpochReport, Measurement
from search.scoring.forgiving_factor import factor_of
from search.training.request import TrainingRequest
from search.training.trial import run_trial
from search.training.uploaded_weights import float_from_weights
from search.trial_files import MODEL_FILE
from tests.models.catalog import ENTRIES
from tests.models.check import Uploaded, read_weights_of, uploaded
from tests.truth.networks import random_assignment

ALL: Final = os.environ.get("FEWBITS_TEST_ALL_MODELS") == "1"
CHOSEN: Final = tuple(entry for entry in ENTRIES if entry.chosen or ALL)
TRIALS: Final = 2

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`"),
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match"),
    pytest.mark.filterwarnings("ignore:.*destroy the mask information"),
]


class Silence:
    """A reporter that no one listens to."""

    def batch(self) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""


def best_of_two(user: Uploaded, folder: Path) -> Measurement:
    """The better of two trials that start from the upload's weights; its files lie in `folder`."""
    (folder / "float").mkdir(parents=True)
    float_from_weights(user.plan, user.data, read_weights_of(user, folder), folder / "float")
    trials: list[tuple[float, Path, Measurement]] = []
    for number in range(TRIALS):
        assignment = random_assignment(user.plan.choices, random.Random(number))
        request = TrainingRequest(assignment, seed=number, start_from=folder / "float" / MODEL_FILE)
        path = folder / str(number)
        path.mkdir()
        measured = run_trial(user.plan, request, user.data, Silence(), path)
        trials.append((factor_of(user.plan.spec).merit(measured.metric), path, measured))
    _, path, measured = max(trials, key=lambda trial: trial[0])
    path.rename(folder / "best")
    return measured


def write_note(user: Uploaded, folder: Path) -> None:
    """What another process needs to measure the model again."""
    x = keras.tree.flatten(user.data.x_validation)
    y = keras.tree.flatten(user.data.y_validation)
    arrays: dict[str, Any] = {f"x{index}": array for index, array in enumerate(x)}
    arrays |= {f"y{index}": array for index, array in enumerate(y)}
    np.savez(folder / "validation.npz", **arrays)
    task = user.plan.task
    note = {
        "name": user.entry.name,
        "inputs": [f"x{index}" for index in range(len(x))],
        "targets": [f"y{index}" for index in range(len(y))],
        "metric": task.metric if len(task.heads) == 1 else f"{task.head.name}_{task.metric}",
    }
    (folder / "note.json").write_text(json.dumps(note))


@dataclass(frozen=True)
class Results:
    """Network -> its best trial, what a new process says of its files, or why it was not measured."""

    measured: dict[str, Measurement]
    again: dict[str, dict[str, float]]
    errors: dict[str, Exception]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The trials of all networks, and one new process for all of them."""
    measured: dict[str, Measurement] = {}
    errors: dict[str, Exception] = {}
    folders = []
    for entry in CHOSEN:
        folder = tmp_path_factory.mktemp(entry.name)
        try:
            user = uploaded(entry, folder)
            measured[entry.name] = best_of_two(user, folder / "trials")
        except Exception as error:  # of this network: the others are measured all the same
            errors[entry.name] = error
            continue
        write_note(user, folder / "trials" / "best")
        folders.append(str(folder / "trials" / "best"))
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.models.reload", *folders]
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    return Results(measured, json.loads(done.stdout.strip().splitlines()[-1]), errors)


@pytest.mark.parametrize("name", [entry.name for entry in CHOSEN])
def test_a_new_process_measures_and_prices_the_same(results: Results, name: str) -> None:
    if name in results.errors:
        raise results.errors[name]
    here, there = results.measured[name], results.again[name]
    assert there["metric"] == pytest.approx(here.metric, rel=1e-5, abs=1e-6)
    assert there["energy_pj"] == here.cost.energy_pj
