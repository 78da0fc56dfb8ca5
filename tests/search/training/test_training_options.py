"""Options of training: each gives Keras' numbers where Keras has it, and survives a saved model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from search.data import Dataset
from search.data.weights import class_weights, example_weights
from search.plan import Plan
from search.spec.distillation import Distillation
from search.spec.job import SearchSpec
from search.spec.resolved import resolve
from search.spec.training import Training
from search.task import Head, Output, Task, classification
from search.training.build import compile_model
from search.training.losses import TrainingTargets, training_loss
from search.training.program.options import StepOptions
from search.training.program.program import Program
from search.training.program.state import DeviceData, ProgramState
from search.training.request import FLOAT, TrainingRequest
from search.training.trial import run_trial
from tests.search.conftest import small_spec
from tests.search.training.program.test_program import BATCH, OUTPUT, RATE, data, float_model
from tests.search.training.test_trial import Listener

pytestmark = pytest.mark.filterwarnings(
    # Keras 3.15 saves TensorFlow's tensors in a way numpy 2 would have otherwise.
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

# --- steps ---------------------------------------------------------------------------------------------------------

STEPS = [
    ("adam", StepOptions(weight_decay=0.1)),
    ("adamw", StepOptions(weight_decay=0.05)),
    ("sgd", StepOptions(clip_value=0.01)),
    ("sgd", StepOptions(clip_norm=0.1)),
    ("adam", StepOptions(ema=0.8)),
]


def two_epochs(program: Program, model: keras.Model, train: DeviceData, epochs: int = 2) -> ProgramState:
    arguments, state = program.arguments(model, RATE, BATCH), program.state(model)
    order = np.arange(len(train), dtype=np.int32)
    for _ in range(epochs):
        state, _ = program.train(arguments, state, train, order, 0, -(-len(train) // BATCH))
    return state


def flat(model: keras.Model) -> NDArray[Any]:
    return np.concatenate([np.asarray(variable.value).ravel() for variable in model.trainable_variables])


@pytest.mark.parametrize(("optimizer", "options"), STEPS)
def test_steps_are_those_of_keras_and_go_on_from_a_saved_model(
    optimizer: str, options: StepOptions, tmp_path: Path
) -> None:
    ours, theirs, train = float_model(), float_model(), data()
    program = Program(ours, OUTPUT, optimizer, options=options)
    state = two_epochs(program, ours, train)
    for model in (ours, theirs):
        training = Training(learning_rate=RATE, optimizer=optimizer)  # type: ignore[arg-type]
        compile_model(model, training, OUTPUT, options=options)
    x, y = np.asarray(train.x), np.asarray(train.y)
    theirs.fit(
        x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0
    )  # ends with its averages as weights
    ours.optimizer.build(ours.trainable_variables)
    program.store(state, ours, ours.optimizer)
    np.testing.assert_allclose(flat(ours), flat(theirs), rtol=1e-4, atol=2e-5)
    ours.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = program.continued(program.state(loaded), loaded, loaded.optimizer)
    parts = (keras.tree.flatten(one._replace(integers=())) for one in (state, again))
    for one, two in zip(*parts, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))


def test_the_average_of_weights_is_what_is_evaluated() -> None:
    model, train = float_model(), data()
    program = Program(model, OUTPUT, "adam", options=StepOptions(ema=0.9))
    state = two_epochs(program, model, train)
    program.store(state, model)
    plain = Program(float_model(), OUTPUT, "adam")
    measured = [
        one.evaluate(one.arguments(model, RATE, BATCH), other, train).loss
        for one, other in ((program, state), (plain, plain.state(model)))
    ]
    assert measured[0] == pytest.approx(measured[1], rel=1e-6)


def test_the_rate_grows_over_the_first_steps() -> None:
    train = data(3 * BATCH)
    states = {}
    for steps in (0, 4):
        model = float_model()
        program = Program(model, OUTPUT, "sgd", options=StepOptions(warm_up_steps=steps))
        arguments, start = program.arguments(model, RATE, BATCH), program.state(model)
        state, _ = program.train(arguments, start, train, np.arange(BATCH, dtype=np.int32), 0, 1)
        states[steps] = np.asarray(state.weights) - np.asarray(start.weights)
    np.testing.assert_allclose(states[4], states[0] / 4, atol=1e-7)


# --- losses --------------------------------------------------------------------------------------------------------

DRAW = np.random.default_rng(0)
LABELS = DRAW.integers(0, 3, 20).astype(np.int32)
LOGITS = DRAW.normal(size=(20, 3)).astype(np.float32)
SOFTMAX = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
ONE_HOT = np.eye(3, dtype=np.float32)[LABELS]
TWO = (LABELS > 0).astype(np.int32)
SIGMOID = 1 / (1 + np.exp(-LOGITS[:, :1]))


def head(kind: Any, scores: int) -> Task:
    return classification(Output(kind, scores))


def loss(task: Task, y: Any, scores: NDArray[Any], options: StepOptions) -> float:
    return float(training_loss(task, y, (keras.ops.convert_to_tensor(scores),), options))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_smoothed_and_focal_losses_are_those_of_keras(smoothing: float, gamma: float) -> None:
    options = StepOptions(label_smoothing=smoothing, focal_gamma=gamma)
    if gamma:
        settings = {"alpha": 1.0, "gamma": gamma, "label_smoothing": smoothing}
        many = keras.losses.CategoricalFocalCrossentropy(**settings)
    else:
        many = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
    expected = float(many(ONE_HOT, SOFTMAX))
    assert loss(head("softmax", 3), LABELS, SOFTMAX, options) == pytest.approx(expected, rel=1e-5)
    assert loss(head("linear", 3), LABELS, LOGITS, options) == pytest.approx(expected, rel=1e-5)
    pairs = np.concatenate([1 - SIGMOID, SIGMOID], axis=1)
    expected = float(many(np.eye(2, dtype=np.float32)[TWO], pairs))
    assert loss(head("sigmoid", 1), TWO, SIGMOID, options) == pytest.approx(expected, rel=1e-5)
    assert loss(head("linear", 1), TWO, LOGITS[:, :1], options) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("task", "y", "scores", "kind"),
    [
        (head("softmax", 3), LABELS, SOFTMAX, keras.losses.SparseCategoricalCrossentropy()),
        (head("sigmoid", 1), TWO, SIGMOID, keras.losses.BinaryCrossentropy()),
        (
            Task((Head("", Output("linear", 3), (3,), "mse"),), "mse"),
            LOGITS,
            SOFTMAX,
            keras.losses.MeanSquaredError(),
        ),
    ],
    ids=["classes", "two classes", "numbers"],
)
def test_weighted_losses_are_those_of_keras(task: Task, y: Any, scores: Any, kind: Any) -> None:
    weights = DRAW.random(20).astype(np.float32)
    truth = y[:, None] if task.head.output.scores == 1 else y
    expected = float(kind(truth, scores, sample_weight=weights))
    weighted = TrainingTargets(keras.ops.convert_to_tensor(y), (keras.ops.convert_to_tensor(weights),))
    assert loss(task, weighted, scores, StepOptions(weighted=True)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("task", "y", "scores"),
    [
        (head("softmax", 3), LABELS, SOFTMAX),
        (head("linear", 3), LABELS, LOGITS),
        (head("sigmoid", 1), TWO, SIGMOID),
        (Task((Head("", Output("linear", 3), (3,), "mse"),), "mse"), LOGITS, SOFTMAX),
    ],
)
def test_the_distance_to_a_teacher_is_none_at_its_own_scores(task: Task, y: Any, scores: Any) -> None:
    def distilled(teacher: NDArray[Any], share: float) -> float:
        targets = TrainingTargets(keras.ops.convert_to_tensor(y), (), (keras.ops.convert_to_tensor(teacher),))
        return loss(task, targets, scores, StepOptions(distill=Distillation(temperature=3.0, share=share)))

    plain = loss(task, y, scores, StepOptions())
    assert distilled(scores, 1.0) == pytest.approx(0, abs=1e-6)
    assert distilled(scores, 0.25) == pytest.approx(0.75 * plain, rel=1e-5)
    assert distilled(np.roll(scores, 1, axis=0), 1.0) > 1e-3


def test_the_distance_is_the_divergence_of_softened_probabilities() -> None:
    other = np.roll(LOGITS, 1, axis=0)

    def soft(logits: NDArray[Any]) -> NDArray[Any]:
        powers = np.exp(logits / 2.0)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    expected = 4 * (soft(other) * np.log(soft(other) / soft(LOGITS))).sum(axis=1).mean()
    targets = TrainingTargets(LABELS, (), (keras.ops.convert_to_tensor(other),))
    options = StepOptions(distill=Distillation(temperature=2.0, share=1.0))
    assert loss(head("linear", 3), targets, LOGITS, options) == pytest.approx(expected, rel=1e-4)


# --- weights -------------------------------------------------------------------------------------------------------


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.array([0, 0, 0, 2, 2, 3])
    expected = compute_class_weight("balanced", classes=np.array([0, 2, 3]), y=labels)
    np.testing.assert_allclose(
        class_weights("balanced", np.bincount(labels, minlength=5))[[0, 2, 3]], expected
    )
    np.testing.assert_array_equal(class_weights({1: 3.0}, np.array([5, 5, 5])), [1, 3, 1])


def test_weights_of_examples_and_classes_multiply(digits: Dataset) -> None:
    task = classification(Output("softmax", 10))
    assert example_weights(digits, task, None) == ()
    weighted = replace(digits, train_weights=np.arange(len(digits.x_train), dtype=np.float32))
    [weights] = example_weights(weighted, task, {3: 0.5})
    labels = np.asarray(digits.y_train)
    np.testing.assert_array_equal(weights, np.where(labels == 3, 0.5, 1) * np.arange(len(labels)))


# --- whole trials --------------------------------------------------------------------------------------------------


def planned(base: Plan, **training: Any) -> Plan:
    spec = small_spec()
    document = spec.model_dump(mode="json")
    changed = SearchSpec.model_validate(document | {"training": document["training"] | training})
    return replace(base, job=resolve(changed))


def test_examples_of_weight_0_are_not_learned(small_plan: Plan, digits: Dataset, tmp_path: Path) -> None:
    only = {str(number): float(number == 4) for number in range(10)}
    run_trial(planned(small_plan, class_weight=only), TrainingRequest(FLOAT, 1), digits, Listener(), tmp_path)
    model = keras.models.load_model(tmp_path / "model.keras")
    predicted = np.asarray(model(digits.x_validation, training=False)).argmax(axis=1)
    assert np.mean(predicted == 4) > 0.9


def test_a_training_without_progress_ends_early(small_plan: Plan, digits: Dataset, tmp_path: Path) -> None:
    reporter = Listener()
    plan = planned(small_plan, patience=2, epochs=9, learning_rate=1e-9, optimizer="sgd")
    run_trial(plan, TrainingRequest(FLOAT, 1), digits, reporter, tmp_path)
    assert [report.epoch for report in reporter.epochs] == [0, 1, 2]


def test_a_student_of_another_model_comes_close_to_it(
    small_plan: Plan, digits: Dataset, tmp_path: Path
) -> None:
    """The teacher's classes are shifted by one, so its student cannot have learned them from the labels."""
    teacher, shifted = tmp_path / "teacher", tmp_path / "shifted"
    teacher.mkdir(), shifted.mkdir()
    train, validation = (
        ((np.asarray(labels) + 1) % 10).astype(np.int32) for labels in (digits.y_train, digits.y_validation)
    )
    wrong = replace(digits, y_train=train, y_validation=validation)
    run_trial(small_plan, TrainingRequest(FLOAT, 1, epochs=6), wrong, Listener(), teacher)
    digits = replace(digits, y_validation=validation)  # which chooses the epoch
    plan = planned(small_plan, distill={"temperature": 1.0, "share": 1.0}, epochs=6)
    request = TrainingRequest(FLOAT, 2, teacher=teacher / "model.keras")
    run_trial(plan, request, digits, Listener(), shifted)
    models = [keras.models.load_model(folder / "model.keras") for folder in (teacher, shifted)]
    predicted = [np.asarray(model(digits.x_validation, training=False)).argmax(axis=1) for model in models]
    assert np.mean(predicted[0] == predicted[1]) > 0.6
