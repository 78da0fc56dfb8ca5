"""Trials with other losses and metrics than a classifier's, on shared programs: the numbers of the plain model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from quantization.specs.parse import parse_quantizer
from search.data import Dataset, load
from search.history import Assignment, EpochReport, Measurement, spread
from search.networks import architecture as models
from search.plan import Plan
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from search.task import Head, Output, Task
from search.training.build import assemble
from search.training.evaluate import evaluate_file
from search.training.metrics import metric_value
from search.training.program import cache as program_cache
from search.training.program.cache import ProgramSpec, program_for
from search.training.program.program import Program
from search.training.program.state import DeviceData
from search.training.request import TrainingRequest
from search.training.trial import execution_seeds, run_trial
from tests.search.searches import Search

pytestmark = pytest.mark.filterwarnings(
    # Keras 3.15 saves TensorFlow's tensors in a way numpy 2 would have otherwise.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

BATCH, RATE = 16, 0.02
FEW = tuple(parse_quantizer(text) for text in ("quantized_bits(4,0,1,alpha=1.0)", "ternary(alpha=1.0)"))


@pytest.fixture(autouse=True, scope="module")
def fresh() -> Iterator[None]:
    program_cache.clear()
    yield
    program_cache.clear()


# --- shared programs -----------------------------------------------------------------------------------------------


def architecture(*units: int) -> dict[str, Any]:
    """A hidden layer, and an output of so many numbers each."""
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(8, activation="relu", name="hidden")(inputs)
    outputs = [keras.layers.Dense(size, name=f"out{index}")(hidden) for index, size in enumerate(units)]
    model = keras.Model(inputs, outputs if len(outputs) > 1 else outputs[0])
    config: dict[str, Any] = json.loads(model.to_json())
    return config


def head(index: int, size: int, loss: str, weight: float = 1.0) -> Head:
    return Head(f"out{index}", Output("linear", size), (size,), loss, weight)


TASKS = {
    "mse and r2": Task((head(0, 2, "mse"),), "r2"),
    "huber and mae": Task((head(0, 1, "huber"),), "mae"),
    "two classes and auc": Task((head(0, 1, "crossentropy"),), "auc"),
    "two outputs": Task((head(0, 3, "crossentropy", 0.5), head(1, 2, "log_cosh")), "rmse", judged=1),
}


def data(task: Task, count: int, seed: int) -> DeviceData:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(count, 6)).astype(np.float32)
    targets = tuple(
        (np.abs(x.sum(1)) * 2).astype(np.int32) % head.output.classes
        if head.labels == "classes"
        else (x[:, : head.output.scores] * 0.5).astype(np.float32)
        for head in task.heads
    )
    return DeviceData.from_arrays(x, targets if len(targets) > 1 else targets[0])


def two_epochs(program: Program, model: keras.Model, task: Task) -> list[float]:
    """Loss and metric in training and validation of two epochs."""
    arguments, state = program.arguments(model, RATE, BATCH), program.state(model)
    train, validation = data(task, 72, 0), data(task, 40, 1)
    numbers = []
    for epoch in range(2):
        order = np.random.default_rng(epoch).permutation(len(train)).astype(np.int32)
        state, trained = program.train(arguments, state, train, order, 0, -(-len(train) // BATCH))
        for totals in (trained, program.evaluate(arguments, state, validation)):
            numbers += [totals.loss, metric_value(task, totals.tally, totals.examples)]
    return numbers


@pytest.mark.parametrize("name", TASKS)
def test_two_epochs_on_the_shared_program_give_the_plain_models_numbers(name: str) -> None:
    task = TASKS[name]
    network = ProgramSpec(
        architecture(*(head.output.scores for head in task.heads)), task, "adam", {"hidden": {"kernel": FEW}}
    )
    chosen = Assignment({}, {"hidden": {"kernel": FEW[1]}})
    program = program_for(network, chosen)
    shared = two_epochs(program, assemble(chosen, network.architecture, 5), task)
    plain = assemble(chosen, network.architecture, 5)
    expected = two_epochs(Program(plain, task, "adam"), plain, task)
    assert shared == pytest.approx(expected, abs=1e-6)
    traces = program.traces
    other = Assignment({}, {"hidden": {"kernel": FEW[0]}}, learning_rate=0.5)
    assert program_for(network, other) is program
    two_epochs(program, assemble(other, network.architecture, 6), task)
    assert program.traces == traces


# --- whole trials --------------------------------------------------------------------------------------------------


class Reports:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.epochs: list[EpochReport] = []

    def batch(self) -> None:
        pass

    def epoch(self, report: EpochReport) -> None:
        self.epochs.append(report)


def job(**changes: Any) -> SearchSpec:
    """A regression of a second a trial."""
    stated: dict[str, Any] = {
        "model": "diabetes_mlp",
        "data": {"kind": "diabetes", "target_scaling": "standard"},
        "objective": "mae",
        "limits": {"by_class": {"Dense": 8, "Activation": 8}},
        "training": {"epochs": 2, "batch_size": 32, "learning_rate": 0.01},
        "seed": 3,
    }
    return SearchSpec.model_validate(stated | changes)


def loaded(prepared: Plan) -> Dataset:
    spec = prepared.spec
    return load(spec.data, Path(), spec.seed, prepared.data.input_shape, prepared.task.heads)


def first(prepared: Plan) -> Assignment:
    [proposed] = Search(prepared.spec, prepared.choices).propose(1).trials
    return proposed.assignment


def run(prepared: Plan, folder: Path, assignment: Assignment, reporter: Reports) -> Measurement:
    return run_trial(prepared, TrainingRequest(assignment, seed=11), loaded(prepared), reporter, folder)


def test_the_epoch_with_the_least_error_is_kept_and_measures_as_reported(tmp_path: Path) -> None:
    prepared, reports = (
        plan(job(training={"epochs": 4, "batch_size": 32, "learning_rate": 0.1}), Path()),
        Reports(),
    )
    measured = run(prepared, tmp_path, first(prepared), reports)
    errors = [report.metrics["val_mae"] for report in reports.epochs]
    assert measured.metric == pytest.approx(min(errors), abs=1e-6)
    assert measured.best_epoch == errors.index(min(errors))
    data = loaded(prepared)
    result = evaluate_file(tmp_path / "model.keras", data.x_validation, data.y_validation, prepared.task)
    assert result == {"metric": measured.metric, "loss": measured.loss}
    saved = keras.models.load_model(tmp_path / "model.keras")
    theirs = saved.evaluate(data.x_validation, data.y_validation, verbose=0, return_dict=True)
    assert theirs["mae"] == pytest.approx(measured.metric, abs=1e-6)


def test_what_was_done_to_the_targets_is_written(tmp_path: Path) -> None:
    prepared = plan(job(training={"epochs": 1, "batch_size": 128}), Path())
    run(prepared, tmp_path, first(prepared), Reports())
    written = json.loads((tmp_path / "preprocessing.json").read_text())["targets"]["output"]
    assert 100 < written["subtract"][0] < 200
    assert 60 < written["divide_by"][0] < 90


def test_an_autoencoder_learns_to_give_back_its_inputs(tmp_path: Path) -> None:
    spec = job(
        model="digits_autoencoder",
        data={"kind": "digits", "targets": "inputs", "train_samples": 300},
        objective="mse",
        training={"epochs": 3, "batch_size": 32, "learning_rate": 0.01},
    )
    prepared, reports = plan(spec, Path()), Reports()
    measured = run(prepared, tmp_path, first(prepared), reports)
    assert measured.metric == pytest.approx(measured.loss, rel=1e-5)
    assert measured.metric < reports.epochs[0].metrics["mse"]


def test_executions_differ_by_their_seeds_and_their_mean_counts(tmp_path: Path) -> None:
    training = {"epochs": 2, "batch_size": 32, "learning_rate": 0.01, "executions": 3}
    prepared, reports = plan(job(training=training), Path()), Reports()
    measured = run(prepared, tmp_path, first(prepared), reports)
    metrics = [execution.metric for execution in measured.executions]
    assert [report.epoch for report in reports.epochs] == list(range(6))
    assert [execution.seed for execution in measured.executions] == execution_seeds(11, 3)
    assert measured.metric == pytest.approx(np.mean(metrics))
    assert len(set(metrics)) == 3
    best = measured.best_execution
    assert best is not None and best.metric == min(metrics)  # noqa: PT018 -- one fact: which is kept
    data = loaded(prepared)
    stored = evaluate_file(tmp_path / "model.keras", data.x_validation, data.y_validation, prepared.task)
    assert stored["metric"] == best.metric
    apart = spread(metrics)
    assert apart is not None
    assert (apart.min, apart.max, apart.std) == (
        min(metrics),
        max(metrics),
        pytest.approx(np.std(metrics, ddof=1)),
    )
    alone = plan(job(), Path())
    assert run(alone, tmp_path, first(prepared), Reports()).metric == metrics[0]


def test_of_equal_executions_the_first_is_kept_and_only_it_is_measured_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.training.trial.evaluate_model", lambda *_: {"metric": 1.0, "loss": 1.0})
    training = {"epochs": 2, "batch_size": 128, "executions": 2}
    prepared = plan(job(training=training), Path())
    request, untrained = TrainingRequest(first(prepared), seed=11), list[float]()
    measured = run_trial(
        prepared, request, loaded(prepared), Reports(), tmp_path, on_untrained=untrained.append
    )
    assert measured.best_execution == measured.executions[0]
    assert len(untrained) == 1


# --- learning rates ------------------------------------------------------------------------------------------------


def test_a_learning_rate_is_one_more_choice_and_the_trial_learns_at_it(tmp_path: Path) -> None:
    fixed = plan(job(), Path())
    training = {"epochs": 1, "batch_size": 32, "learning_rate": {"choices": [0.001, 0.01, 0.1]}}
    prepared = plan(job(training=training), Path())
    assert prepared.choices.size() == 3 * fixed.choices.size()
    chosen = first(prepared)
    assert chosen.learning_rate == chosen.values["learning_rate"]
    assert Assignment.from_json(chosen.to_json()) == chosen
    run(prepared, tmp_path, chosen, Reports())
    saved = keras.models.load_model(tmp_path / "model.keras")
    assert float(saved.optimizer.learning_rate) == pytest.approx(chosen.learning_rate)


def test_trials_that_differ_in_their_rate_alone_are_two_trials_of_one_network() -> None:
    prepared = plan(job(training={"learning_rate": {"min": 1e-4, "max": 1e-1, "steps": 4}}), Path())
    one = first(prepared)
    other = replace(one, learning_rate=0.05)
    assert one.key != other.key
    assert prepared.pricer.price(one) == prepared.pricer.price(other)
    assert models.network(prepared.spec.model) is not None
