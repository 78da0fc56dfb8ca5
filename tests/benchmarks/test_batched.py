"""Trials trained together on JAX. The backend is chosen once a process, so they run in another one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.batched import train_together
from search.spec.training import Training
from search.training.program.vmap import trials_that_fit
from tests.search.training.program.test_program import float_model, simple, small

TOGETHER_AND_ALONE = """
import json
import numpy as np
from benchmarks.batched import train_together
from search.data import Dataset, InputScaling
from search.spec.training import Training
from tests.search.training.program.test_program import data, simple, small

parts = [np.asarray(array) for part in (data(), data(40, seed=1)) for array in (part.x, part.y)]
arrays = Dataset(*parts, *parts[2:], InputScaling(1.0, (0.0,)))
training = Training(epochs=2, batch_size=16, learning_rate=0.01)


def seen(numbers):
    chosen, seeds = [simple(number) for number in numbers], [number + 1 for number in numbers]
    trained = train_together(small(), chosen, seeds, training, arrays)
    return [
        {
            "losses": [epoch.train.loss for epoch in epochs],
            "metrics": [epoch.validation.accuracy for epoch in epochs],
            "kernel": np.asarray(model.get_layer("dense").kernel).sum().item(),
            "examples": epochs[-1].train.examples,
        }
        for epochs, model in trained
    ]


print(json.dumps({"together": seen([0, 1]), "alone": seen([1])}))
"""


@pytest.fixture(scope="module")
def outcome() -> dict[str, Any]:
    pytest.importorskip("jax")
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", TOGETHER_AND_ALONE],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    numbers: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def test_a_trial_trained_with_others_is_the_one_trained_alone(outcome: dict[str, Any]) -> None:
    together, [alone] = outcome["together"][1], outcome["alone"]
    assert together["losses"] == pytest.approx(alone["losses"], rel=1e-4)
    assert together["metrics"] == pytest.approx(alone["metrics"], abs=0.03)
    assert together["kernel"] == pytest.approx(alone["kernel"], rel=1e-3)


def test_trials_trained_together_differ(outcome: dict[str, Any]) -> None:
    first, second = outcome["together"]
    assert first["losses"] != second["losses"]


def test_the_examples_that_fill_no_batch_are_trained_on_too(outcome: dict[str, Any]) -> None:
    assert outcome["together"][0]["examples"] == 72


def test_other_backends_are_refused() -> None:
    with pytest.raises(ValueError, match="set KERAS_BACKEND=jax"):
        train_together(small(), [simple(0)], [1], Training(), None)  # type: ignore[arg-type]


def test_twice_the_memory_takes_twice_the_trials() -> None:
    model = float_model()
    assert trials_that_fit(model, 64, 0) == 1
    assert trials_that_fit(model, 64, 2**31) == pytest.approx(2 * trials_that_fit(model, 64, 2**30), abs=1)
