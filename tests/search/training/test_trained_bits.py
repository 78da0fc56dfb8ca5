"""Trainings whose bits are trained: what they leave is built, priced and continued exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from search.data import Dataset, load
from search.history import Assignment, Measurement
from search.plan import Plan
from search.plans.kinds import plan
from search.space.trained_bits import start_first
from search.spec.job import SearchSpec
from search.training.request import TrainingRequest
from search.training.trained_bits import without_last_bit
from search.training.trial import run_trial
from search.trial_files import BITS_FILE, MODEL_FILE
from tests.search.conftest import small_spec
from tests.search.training.test_effective import Silent

GOALS: dict[str, dict[str, Any]] = {
    "ebops of weights": {"kind": "ebops", "effective": "weight"},
    "energy": {"kind": "energy"},
}


def bits_plan(goal: dict[str, Any], **changes: Any) -> Plan:
    """The small job, with fixed-point candidates alone."""
    spec = small_spec(
        goal=goal,
        filters={"by": "none"},
        quantizers={
            "kernel": [f"quantized_bits({bits},0,1,alpha=1.0)" for bits in (2, 4, 6, 8)],
            "bias": ["quantized_bits(4,1,1)", "quantized_bits(8,3,1)"],
            "activation": ["quantized_relu(2,1)", "quantized_relu(4,2)", "quantized_relu(8,2)"],
        },
        limits={"by_class": {"Dense": 8, "Conv2D": 8, "Activation": 8}},
        training={"epochs": 2, "batch_size": 32, "learning_rate": 0.01},
        oracle={"kind": "gradient", "stages": 2},
        **changes,
    )
    return plan(spec, Path())


def start(prepared: Plan) -> Assignment:
    return prepared.choices.assignment(
        {name: labels[0] for name, labels in start_first(prepared.choices, 8).items()}
    )


def trained(prepared: Plan, data: Dataset, folder: Path, penalty: float, **changes: Any) -> Measurement:
    folder.mkdir()
    request = TrainingRequest(start(prepared), 1, penalty=penalty, **changes)
    return run_trial(prepared, request, data, Silent(), folder)


@pytest.fixture(scope="module", params=GOALS)
def goal(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def stages(
    goal: str, digits: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Plan, list[Measurement], Path]:
    """Two stages, the second at a penalty that leaves few bits."""
    prepared, home = bits_plan(GOALS[goal]), tmp_path_factory.mktemp("stages")
    first = trained(prepared, digits, home / "0", 0.01, epochs=1)
    second = trained(
        prepared, digits, home / "1", 30.0, epochs=2, initial_epoch=1, start_bits=home / "0" / BITS_FILE
    )
    return prepared, [first, second], home


def test_bits_become_an_assignment_of_the_space_that_costs_less(stages: Any) -> None:
    prepared, measured, _ = stages
    for measurement in measured:
        assert measurement.assignment == prepared.choices.assignment(measurement.assignment.values)
        assert measurement.cost.bits == prepared.pricer.price(measurement.assignment).bits
    assert measured[1].cost.value < measured[0].cost.value


def test_the_saved_model_has_the_quantizers_of_the_assignment_and_the_metric_of_the_trial(
    stages: Any, digits: Dataset
) -> None:
    _, measured, home = stages
    for stage, measurement in enumerate(measured):
        model = keras.models.load_model(home / str(stage) / MODEL_FILE)
        for layer in model.layers:
            for slot, spec in getattr(layer, "specs", {}).items():
                assert spec == measurement.assignment.quantizers[layer.name][slot]
        scores = np.asarray(model(digits.x_validation))
        assert np.mean(scores.argmax(-1) == digits.y_validation) == pytest.approx(measurement.metric)


def test_a_stage_continues_weights_bits_and_optimizer(stages: Any) -> None:
    _, _, home = stages
    with np.load(home / "0" / BITS_FILE) as first, np.load(home / "1" / BITS_FILE) as second:
        assert int(second["steps"]) == 2 * int(first["steps"])
        assert set(first) == set(second)


def test_two_stages_are_as_one_training(digits: Dataset, tmp_path: Path) -> None:
    prepared = bits_plan(GOALS["energy"])
    whole = trained(prepared, digits, tmp_path / "whole", 0.05, epochs=2)
    trained(prepared, digits, tmp_path / "first", 0.05, epochs=1)
    bits = tmp_path / "first" / BITS_FILE
    parts = trained(prepared, digits, tmp_path / "second", 0.05, epochs=2, initial_epoch=1, start_bits=bits)
    with np.load(tmp_path / "whole" / BITS_FILE) as one, np.load(tmp_path / "second" / BITS_FILE) as other:
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    if whole.best_epoch == 1:
        assert replace(parts, durations_s={}) == replace(whole, durations_s={})


def test_the_state_of_another_network_is_refused(stages: Any, digits: Dataset, tmp_path: Path) -> None:
    prepared, _, home = stages
    other = tmp_path / "other.npz"
    with np.load(home / "0" / BITS_FILE) as stored:
        np.savez(other, **{name: stored[name][:-1] if name == "weights" else stored[name] for name in stored})
    with pytest.raises(ValueError, match="not a state of this training: weights differs"):
        trained(prepared, digits, tmp_path / "0", 0.01, start_bits=other)


@pytest.fixture(scope="module")
def mixed_plan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Dataset]:
    """A network of layers that hold their quantizers in different ways."""
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((8, 3)),
            layers.Conv1D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.SeparableConv1D(4, 2),
            layers.BatchNormalization(),
            layers.Bidirectional(layers.LSTM(3)),
            layers.Dense(3, activation="softmax"),
        ]
    )
    folder = tmp_path_factory.mktemp("data")
    draw = np.random.default_rng(0)
    parts = {"train": 60, "test": 20}
    arrays = {f"x_{part}": draw.normal(size=(count, 8, 3)).astype("float32") for part, count in parts.items()}
    np.savez(
        folder / "set.npz", **arrays, **{f"y_{part}": np.arange(count) % 3 for part, count in parts.items()}
    )
    spec = SearchSpec.model_validate(
        {
            "model": {"kind": "architecture", "config": json.loads(network.to_json())},
            "data": {"kind": "npz", "file": "set.npz"},
            "limits": 8,
            "quantizers": {
                "kernel": [f"quantized_bits({bits},0,1,alpha=1.0)" for bits in (2, 4, 8)],
                "bias": ["quantized_bits(4,1,1)", "quantized_bits(8,3,1)"],
                "activation": ["quantized_relu(4,2)", "quantized_relu(8,2)"],
                "linear": ["quantized_bits(4,1,1)", "quantized_bits(8,2,1)"],
            },
            "goal": {"kind": "ebops", "effective": "weight"},
            "training": {"epochs": 2, "batch_size": 20},
            "oracle": {"kind": "gradient", "stages": 2},
        }
    )
    prepared = plan(spec, folder)
    return prepared, load(prepared.job.data, folder, 0, prepared.data.input_shape)


def test_layers_of_every_way_to_hold_quantizers_are_trained_and_built(
    mixed_plan: tuple[Plan, Dataset], tmp_path: Path
) -> None:
    prepared, data = mixed_plan
    measurement = trained(prepared, data, tmp_path / "0", 1.0)
    assert measurement.assignment is not None
    assert measurement.cost.value == measurement.effective["weight"]["ebops"]
    model = keras.models.load_model(tmp_path / "0" / MODEL_FILE)
    predicted = np.asarray(model(data.x_validation)).argmax(-1)
    assert np.mean(predicted == data.y_validation) == pytest.approx(measurement.metric)


@pytest.mark.parametrize(
    ("shape", "expected", "groups"),
    [
        ((2, 3), [[4, 0, 0], [-2, 0, 8]], 4),
        ((1, 3), [[4, 0, 0], [-2, 0, 12]], 2),
        ((), [[4, 0, 0], [-2, 0, 12]], 1),
    ],
)
def test_without_its_last_bit_a_group_needs_one_less(
    shape: tuple[int, ...], expected: list[list[int]], groups: int
) -> None:
    codes = np.array([[5, 0, 1], [-3, 0, 12]])
    changed, count = without_last_bit(codes, shape)
    np.testing.assert_array_equal(changed, expected)
    assert count == groups
