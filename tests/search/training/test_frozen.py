"""Frozen layers keep their weights and statistics through a whole search, whatever its trials start from."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import pytest
from keras import layers

from search.data import Dataset, load_inputs
from search.history import EpochReport
from search.networks.architecture import architecture
from search.plan import Plan
from search.plans.kinds import plan
from search.space.widths import tunable_groups
from search.spec.job import SearchSpec
from search.training.artifacts import save
from search.training.build import assemble, compile_model
from search.training.request import FLOAT, TrainingRequest
from search.training.trial import run_trial
from search.trial_files import MODEL_FILE
from tests.truth.networks import random_assignment

#: Layers that are frozen -> parts of paths of variables that must not change, folded or not.
FROZEN: Final = {
    ("conv", "norm"): ("conv/", "norm/"),
    ("conv",): ("conv/kernel", "conv/bias"),
    ("norm",): ("norm/", "conv/batchnorm/"),
    ("hidden",): ("hidden/",),
}
#: Names of variables of a normalization, on its own -> folded into the convolution.
_FOLDED: Final = ("norm/", "conv/batchnorm/")


class Silence:
    """A reporter that no one listens to."""

    def batch(self) -> None:
        """Nothing."""

    def epoch(self, report: EpochReport) -> None:
        """Nothing."""


def model(frozen: tuple[str, ...]) -> keras.Model:
    """A small network; the named layers are frozen."""
    inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(2, 3, strides=2, name="conv")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name="norm")(x))
    x = layers.Dense(4, activation="relu", name="hidden")(layers.Flatten()(x))
    whole = keras.Model(inputs, layers.Dense(10, name="scores")(x))
    for name in frozen:
        whole.get_layer(name).trainable = False
    return whole


def planned(frozen: tuple[str, ...], normalization: str, start: str, folder: Path) -> tuple[Plan, Dataset]:
    document: dict[str, Any] = {
        "model": {"kind": "architecture", "config": model(frozen).get_config()},
        "data": {"kind": "digits", "train_samples": 64},
        "limits": 4,
        "budget": {"trials": 2},
        "normalization": normalization,
        "training": {
            "epochs": 1,
            "start": start,
            "distill": {"temperature": 2},
            "weight_decay": 0.1,
            "ema": 0.5,
        },
    }
    job = plan(SearchSpec.model_validate(document), folder)
    return job, load_inputs(job.job.data, folder, 1, job.data.inputs, job.task.heads)


def write_float(job: Plan, data: Dataset, folder: Path) -> dict[str, np.ndarray]:
    """A float model whose weights are all different, and these by path."""
    network = assemble(FLOAT, architecture(job.job.model), 1)
    draw = np.random.default_rng(0)
    for variable in network.weights:
        if keras.backend.is_float_dtype(variable.dtype):
            variable.assign(draw.uniform(0.2, 0.8, variable.shape))
    compile_model(network, job.spec.training, job.task)
    network.optimizer.build(network.trainable_variables)
    save(network, data, folder)
    return weights(network)


def weights(network: keras.Model) -> dict[str, np.ndarray]:
    return {variable.path: keras.ops.convert_to_numpy(variable) for variable in network.weights}


def changed(start: dict[str, np.ndarray], after: dict[str, np.ndarray], parts: tuple[str, ...]) -> list[str]:
    """Frozen variables of a trial that differ from those it started from."""
    own, folded = _FOLDED
    compared = {
        path: start.get(path, start.get(path.replace(folded, own)))
        for path in after
        if path.startswith(parts)
    }
    return [
        path
        for path, array in compared.items()
        if array is not None and not np.array_equal(array, after[path])
    ]


@pytest.mark.parametrize(
    ("frozen", "normalization", "start"),
    [
        (("conv", "norm"), "fold", "calibrated"),
        (("conv",), "quantize", "calibrated"),
        (("norm",), "fold", "calibrated"),
        (("norm",), "float", "calibrated"),
        (("hidden",), "fold", "float"),
    ],
)
def test_frozen_layers_stay_as_they_are(
    frozen: tuple[str, ...], normalization: str, start: str, tmp_path: Path
) -> None:
    job, data = planned(frozen, normalization, start, tmp_path)
    paths = [tmp_path / name for name in ("float", "first", "second", "final")]
    for path in paths:
        path.mkdir()
    before = write_float(job, data, paths[0])
    teacher = paths[0] / MODEL_FILE
    one, other = (random_assignment(job.choices, random.Random(number)) for number in (0, 1))
    trials = [
        TrainingRequest(one, seed=1, start_from=teacher, teacher=teacher),
        TrainingRequest(
            other, seed=2, start_from=paths[1] / MODEL_FILE, teacher=teacher
        ),  # as `descent` goes on
        TrainingRequest(
            one, seed=1, start_from=paths[1] / MODEL_FILE, initial_epoch=1, epochs=2, teacher=teacher
        ),
    ]
    trained = set()
    for request, path in zip(trials, paths[1:], strict=True):
        run_trial(job, request, data, Silence(), path)
        after = weights(keras.models.load_model(path / MODEL_FILE))
        assert changed(before, after, FROZEN[frozen]) == []
        trained |= set(changed(before, after, ("conv/", "norm/", "hidden/", "scores/")))
    assert {"scores/kernel", "scores/bias"} <= trained


def test_the_width_of_a_frozen_layer_and_of_what_it_reads_is_kept(tmp_path: Path) -> None:
    for frozen, searched in (((), ["conv", "hidden"]), (("hidden",), []), (("conv",), ["hidden"])):
        job, _ = planned(frozen, "fold", "float", tmp_path)
        groups, _ = tunable_groups(job.network)
        assert [name for group in groups for name in group] == searched
