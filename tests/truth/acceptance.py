"""Whether what the dry run accepts is what a worker trains: the plan of a job, and one trial of one step."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from search.data import Dataset, load
from search.errors import InvalidSpec
from search.history import EpochReport
from search.networks.architecture import input_shape
from search.plan import Plan
from search.plans.kinds import plan
from search.training.request import TrainingRequest
from search.training.trial import run_trial
from search.trial_files import MODEL_FILE
from tests.truth.networks import TOKENS, random_assignment, random_spec
from tests.truth.variants import WRONG, variant, wrong

_EXAMPLES, _BATCH, _CLASSES = 16, 8, 3


class _Silence:
    """A reporter that no one listens to."""

    def batch(self) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""


def differences_of_acceptance(number: int) -> list[str]:
    """Where the dry run and a trial disagree about a random network, and about one with something wrong in it."""
    what = list(WRONG)[number % len(WRONG)]
    document = variant(number)
    found = [] if (reason := refusal(document, number)) is None else [f"supported, but refused: {reason}"]
    found += [] if (failure := disagreement(document, number)) is None else [failure]
    if refusal(wrong(number, what), number) is None:
        found.append(f"accepted with {what}: {disagreement(wrong(number, what), number) or 'and it runs'}")
    return found


def refusal(document: Mapping[str, Any], number: int) -> str | None:
    """Why the dry run refuses a network; None if it accepts it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            _plan(document, number, Path(folder))
        except InvalidSpec as error:
            return "; ".join(f"{problem.pointer}: {problem.message}" for problem in error.problems)
    return None


def disagreement(document: Mapping[str, Any], number: int) -> str | None:
    """Why a trial of a network that the dry run accepts cannot be trained, saved or loaded; None if it can."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            job, data = _plan(document, number, folder)
        except InvalidSpec:
            return None
        request = TrainingRequest(random_assignment(job.choices, random.Random(number)), seed=number)
        try:
            run_trial(job, request, data, _Silence(), folder)
            keras.models.load_model(folder / MODEL_FILE)
        except Exception as error:
            return f"accepted, but {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    return None


def _plan(document: Mapping[str, Any], number: int, folder: Path) -> tuple[Plan, Dataset]:
    """The plan of a job on a network, and data of its shapes."""
    draw = np.random.default_rng(number)
    entries = document["config"]["layers"]
    shape = next(entry for entry in entries if entry["class_name"] == "InputLayer")["config"]["batch_shape"][
        1:
    ]
    has_tokens = any(entry["class_name"] == "Embedding" for entry in entries)
    size = (_EXAMPLES, *shape)
    size = (_EXAMPLES, *shape)
    arrays = {
        f"x_{part}": draw.integers(0, TOKENS, size) if has_tokens else draw.normal(size=size)
        for part in ("train", "test")
    }
    labels = {f"y_{part}": np.arange(_EXAMPLES) % _CLASSES for part in ("train", "test")}
    np.savez(
        folder / "data.npz", **{name: array.astype("float32") for name, array in arrays.items()}, **labels
    )
    spec = random_spec(
        number,
        model={"kind": "architecture", "config": document},
        data={"kind": "npz", "file": "data.npz", "train_samples": _BATCH},
        training={"epochs": 1, "batch_size": _BATCH},
        budget={"trials": 1},
    )
    job = plan(spec, folder)
    return job, load(job.job.data, folder, spec.seed, input_shape(job.network), job.task.heads)
