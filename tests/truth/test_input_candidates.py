"""Candidates for the network's input: a choice like any other, in price, model and shared program."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from quantization.models.convert import quantize, transfer_weights
from quantization.specs.parse import parse_quantizer
from quantization.switching.quantizer import choice_of, switch
from search.cost.pricing import Pricer
from search.errors import InvalidSpec
from search.networks.zoo import zoo_config
from search.plan import Plan
from search.plans.kinds import plan
from search.spec.job import SearchSpec
from tests.truth.checks import price_differences
from tests.truth.networks import Drawn

TEXTS = (
    "quantized_bits(2,1,0,keep_negative=0)",
    "quantized_bits(8,1,0,keep_negative=0)",
    "binary(alpha=1.0)",
)
NAME = "inputs.input"


def planned(candidates: tuple[str, ...] = TEXTS, **fields: Any) -> Plan:
    """A plan with these candidates for the input, and one quantizer for each kernel."""
    kernel = [{"quantizer": "quantized_bits(4,0,1,alpha=1.0)"}]
    document = {
        "model": "digits_cnn",
        "data": {"kind": "digits", "preprocessing": "unit"},
        "quantizers": {"input": list(candidates), "kernel": kernel},
        "limits": {"by_class": {"Conv2D": {}, "Dense": {}}},
        **fields,
    }
    return plan(SearchSpec.model_validate(document), Path())


def first_labels(plan: Plan) -> dict[str, Any]:
    return {name: labels[0] for name, labels in plan.choices.dimensions().items()}


def test_the_input_is_a_choice_that_is_priced_and_built() -> None:
    made = planned()
    assert made.choices.dimensions()[NAME] == TEXTS
    costs = []
    for text in TEXTS:
        assignment = made.choices.assignment({**first_labels(made), NAME: text})
        assert assignment.quantizers["inputs"] == {"activation": parse_quantizer(text)}
        assert price_differences(Drawn(made.spec, made.network, made.choices), assignment) == []
        costs.append(Pricer(made.spec.goal, made.network).price(assignment).value)
    assert len(set(costs)) == len(TEXTS)


def test_without_candidates_the_input_has_one_quantizer_in_all_trials() -> None:
    made = planned(())
    assert NAME not in made.choices.dimensions()
    assert set(made.choices.fixed) == {"inputs"}


def test_the_first_block_chooses_the_input() -> None:
    blocks = {"kind": "per_block", "blocks": ["conv.*", "dense"], "order": "sequential"}
    stages = planned(schedule=blocks, budget={"trials": 8}).stages
    assert [NAME in stage.choices.dimensions() for stage in stages] == [True, False]
    labels = {name: values[0] for name, values in stages[0].choices.dimensions().items()}
    assert stages[0].choices.assignment(labels).quantizers["inputs"]


def test_a_shared_program_quantizes_the_input_of_each_trial() -> None:
    config, x = zoo_config("jet_mlp"), np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32)
    specs = [parse_quantizer(text) for text in TEXTS]
    shared: Any = quantize(config, {"inputs": {"activation": specs[0]}})
    switched = switch(shared, {"inputs": {"activation": specs}})["inputs", "activation"]
    outputs = []
    for spec in specs:
        model: Any = quantize(config, {"inputs": {"activation": spec}})
        transfer_weights(shared, model)
        chosen = choice_of(spec, "activation", switched.function)
        switched.choice.assign(switched.index(chosen))
        switched.parameters.assign(chosen.parameters)
        outputs.append(np.asarray(keras.ops.convert_to_numpy(shared(x))))
        np.testing.assert_allclose(outputs[-1], keras.ops.convert_to_numpy(model(x)), atol=1e-6)
    assert not np.allclose(outputs[0], outputs[1])


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"inputs": "priced"}, "inputs: priced"),
        ({"goal": {"kind": "energy", "source_quantizers": "int8"}}, "source_quantizers"),
    ],
)
def test_an_input_that_is_stated_twice_is_refused(fields: dict[str, Any], part: str) -> None:
    with pytest.raises(InvalidSpec, match=part) as refusal:
        planned(**fields)
    assert [problem.pointer for problem in refusal.value.problems] == ["/quantizers/input"]


def test_candidates_that_clip_the_input_are_named() -> None:
    warnings = planned(("quantized_bits(8,-2,0,keep_negative=0)",)).warnings
    assert any("clips" in warning and "quantized_bits(8,-2" in warning for warning in warnings)
