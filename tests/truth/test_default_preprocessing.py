"""Jobs that name no preprocessing learn what is in their data; `centered` hid it from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.data import load
from search.history import EpochReport
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from search.training.request import FLOAT, TrainingRequest
from search.training.trial import run_trial
from tests.search.nets import functional, layer

pytestmark = pytest.mark.filterwarnings(
    # Keras 3.15 saves TensorFlow's tensors in a way numpy 2 would have otherwise.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

DRAW = np.random.default_rng(0)


class Silent:
    def batch(self) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""


def tokens() -> tuple[Any, Any, Any]:
    """Sequences of two kinds of words: which kind decides."""
    y = DRAW.integers(0, 2, 400)
    x = DRAW.integers(0, 10, (400, 4)) + 10 * y[:, None]
    layers = [
        layer("Embedding", "words", ["input"], input_dim=20, output_dim=4),
        layer("Flatten", "flatten", ["words"]),
        layer("Dense", "out", ["flatten"], units=2, activation="softmax"),
    ]
    return functional((4,), layers), x, y


def small_feature() -> tuple[Any, Any, Any]:
    """Two columns: noise in the thousands, and a small number whose sign decides."""
    x = np.stack([DRAW.normal(0, 1e4, 400), DRAW.normal(0, 1e-2, 400)], axis=1)
    return functional((2,), [layer("Dense", "out", ["input"], units=2, activation="softmax")]), x, x[:, 1] > 0


@pytest.mark.parametrize("make", [tokens, small_feature])
def test_a_job_that_names_no_preprocessing_learns_what_is_in_its_data(make: Any, tmp_path: Path) -> None:
    network, x, y = make()
    labels = np.asarray(y).astype(np.int64)
    np.savez(tmp_path / "set.npz", x_train=x[:300], y_train=labels[:300], x_test=x[300:], y_test=labels[300:])
    metrics = {}
    for method in ("auto", "centered"):
        spec = SearchSpec.model_validate(
            {
                "model": {"kind": "architecture", "config": network},
                "data": {"kind": "npz", "file": "set.npz", "preprocessing": method},
                "limits": {"by_class": {"Dense": 8}},
                "training": {"epochs": 6, "batch_size": 16, "learning_rate": 0.05},
            }
        )
        job = plan(spec, tmp_path)
        data = load(
            spec.data, tmp_path, 1, job.data.input_shape, job.task.heads, preprocessing=job.data.preprocessing
        )
        folder = tmp_path / method
        folder.mkdir()
        metrics[method] = run_trial(job, TrainingRequest(FLOAT, 1), data, Silent(), folder).metric
    assert metrics["auto"] >= 0.95
    assert metrics["centered"] < 0.75
