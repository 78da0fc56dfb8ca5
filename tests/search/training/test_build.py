"""From an assignment to a Keras model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from costmodel.energy import prepare, price
from quantization.models.convert import read_quantizers
from quantization.specs.parse import parse_quantizer
from search.errors import Infeasible
from search.history import Assignment
from search.networks import architecture as models
from search.plan import Plan
from search.spec.training import Training
from search.task import Output, classification
from search.training.build import OPTIMIZERS, assemble, compile_model, trial_description
from tests.quantization import as_network
from tests.search.searches import Search


def assignments(plan: Plan, count: int) -> list[Assignment]:
    """What random search would try first."""
    return [trial.assignment for trial in Search(plan.spec, plan.choices).propose(count).trials]


def assembled(plan: Plan, assignment: Assignment, seed: int = 0) -> keras.Model:
    return assemble(assignment, trial_description(plan.spec, models.architecture(plan.spec.model)), seed)


@pytest.fixture
def assignment(small_plan: Plan) -> Assignment:
    return assignments(small_plan, 1)[0]


@pytest.mark.parametrize("index", range(6))
def test_what_was_sampled_is_what_is_built(small_plan: Plan, index: int) -> None:
    assignment = assignments(small_plan, 6)[index]
    assert read_quantizers(assembled(small_plan, assignment)) == assignment.quantizers


@pytest.mark.parametrize("index", range(6))
def test_widths_are_those_sampled(small_plan: Plan, index: int) -> None:
    assignment = assignments(small_plan, 6)[index]
    filters = assembled(small_plan, assignment).get_layer("conv2d_0").filters
    assert filters == assignment.widths.get("conv2d_0", 8)


@pytest.mark.parametrize("index", range(6))
def test_the_built_model_costs_what_its_assignment_was_priced_at(small_plan: Plan, index: int) -> None:
    assignment = assignments(small_plan, 6)[index]
    model = assembled(small_plan, assignment)
    built = price(
        prepare(as_network.network(model)), as_network.types(model), small_plan.pricer.trial_settings.energy
    )
    assert built.energy_pj == small_plan.pricer.price(assignment).energy_pj


def weights(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(array) for array in model.get_weights()]


def test_the_same_seed_gives_the_same_weights(small_plan: Plan, assignment: Assignment) -> None:
    first, second = (weights(assembled(small_plan, assignment, seed=5)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_another_seed_gives_other_weights(small_plan: Plan, assignment: Assignment) -> None:
    first, second = (weights(assembled(small_plan, assignment, seed)) for seed in (5, 6))
    assert any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_an_assignment_of_another_network_is_infeasible(small_plan: Plan) -> None:
    stray = Assignment(values={}, quantizers={"conv9": {"kernel": parse_quantizer("binary")}})
    with pytest.raises(Infeasible, match="conv9"):
        assembled(small_plan, stray)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_optimizer_is_the_one_asked_for(small_plan: Plan, assignment: Assignment, name: Any) -> None:
    model = assembled(small_plan, assignment)
    compile_model(model, Training(optimizer=name), small_plan.task, 0.125)
    assert isinstance(model.optimizer, OPTIMIZERS[name])
    assert float(model.optimizer.learning_rate) == 0.125


def test_every_optimizer_of_a_job_can_be_built() -> None:
    assert set(OPTIMIZERS) == set(Training.model_fields["optimizer"].annotation.__args__)  # type: ignore[union-attr]


# --- losses --------------------------------------------------------------------------------------------------


def measured(output: Output, scores: list[list[float]], labels: list[int]) -> dict[str, float]:
    """Loss and accuracy of a model that gives back what it is given."""
    inputs = keras.Input((len(scores[0]),))
    model = keras.Model(inputs, keras.layers.Activation("linear")(inputs))
    compile_model(model, Training(), classification(output))
    result = model.evaluate(
        np.array(scores, np.float32), np.array(labels, np.int32), verbose=0, return_dict=True
    )
    return {name: float(value) for name, value in result.items()}


def test_probabilities_are_measured_as_such() -> None:
    results = measured(Output("softmax", 2), [[0.75, 0.25], [0.5, 0.5], [0.9, 0.1], [0.2, 0.8]], [0, 0, 1, 1])
    losses = -np.log([0.75, 0.5, 0.1, 0.8])
    assert results == {"loss": pytest.approx(losses.mean(), rel=1e-5), "accuracy": 0.75}


def test_logits_are_measured_as_such() -> None:
    results = measured(Output("linear", 3), [[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]], [0, 2])
    losses = [np.log(1 + 2 * np.exp(-2)), np.log(2 + np.exp(3))]
    assert results == {"loss": pytest.approx(np.mean(losses), rel=1e-5), "accuracy": 0.5}


def test_a_single_probability_is_measured_against_a_half() -> None:
    results = measured(Output("sigmoid", 1), [[0.75], [0.4], [0.4], [0.2]], [1, 0, 1, 0])
    losses = -np.log([0.75, 0.6, 0.4, 0.8])
    assert results == {"loss": pytest.approx(losses.mean(), rel=1e-5), "accuracy": 0.75}


def test_a_single_logit_is_measured_against_zero() -> None:
    results = measured(Output("linear", 1), [[0.25], [-0.25], [0.25]], [1, 0, 0])
    assert results["accuracy"] == pytest.approx(2 / 3)
