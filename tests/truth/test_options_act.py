"""Every option of a goal and of a cost request changes some price, or is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from quantization.specs.parse import parse_quantizer
from search.autoqkeras import import_run_config
from search.cost.answer import price_network
from search.cost.pricing import Pricer
from search.errors import InvalidSpec
from search.history import Assignment
from search.networks.architecture import priceable
from search.scoring.forgiving_factor import forgiving_factor
from search.spec.cost import BitsOptions, CostOptions, CostSpec
from search.spec.goals import BitsGoal, CountGoal, EnergyGoal, Goal
from search.spec.job import ZooModel
from service.errors import InvalidRequest
from service.parsing import parse_submission

NETWORK = priceable(ZooModel(name="digits_cnn"))
_KERNEL = {"kernel": parse_quantizer("quantized_po2(4)")}
#: Some layers are quantized, one with powers of two; the normalizations and a convolution stay float.
ASSIGNMENT = Assignment({}, {"conv2d_0": _KERNEL, "dense": _KERNEL})

#: Field of a goal -> another value.
ENERGY: dict[str, Any] = {
    "delta_p": 1.0,
    "delta_n": 1.0,
    "rate": 4.0,
    "stress": 0.5,
    "unquantized": "reference",
    "profile": "7nm",
    "parameters_on_memory": ("dram", "dram"),
    "activations_on_memory": ("dram", "dram"),
    "min_sram_size": (2**20, 2**20),
    "rd_wr_on_io": (True, True),
    "source_quantizers": {"name": "int16"},
    "reference_internal": "fp32",
    "reference_accumulator": "fp32",
}
BITS: dict[str, Any] = {
    **{name: ENERGY[name] for name in ("delta_p", "delta_n", "rate", "stress", "unquantized")},
    "input_bits": 4,
    "output_bits": 4,
    "ref_bits": 4,
    "config": {"default": ("parameters",)},
    "accounting": "qtools",
}
COUNT: dict[str, Any] = {name: BITS[name] for name in ("delta_p", "delta_n", "rate", "stress", "unquantized")}
#: Options of a cost request -> another value.
OPTIONS: dict[str, Any] = {
    "profile": "7nm",
    "accounting": "qtools",
    "parameters_on_memory": "dram",
    "activations_on_memory": "dram",
    "min_sram_size_bits": 2**20,
    "rd_wr_on_io": True,
    "source": "int16",
    "internal": "int8",
    "accumulator": "int32",
    "capacity_bits": 8,
    "reuse": 1,
    "inference": True,
    "bits": {"ref_bits": 4},
}
BITS_OPTIONS: dict[str, Any] = {
    "input_bits": 4,
    "output_bits": 4,
    "ref_bits": 4,
    "config": {"default": ("parameters",)},
    "accounting": "qtools",
}
#: What a search refuses.
REFUSED = {"trained_model"}


def fields(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields) - {"kind"}


def test_the_tables_name_every_option() -> None:
    # the costs of trained weights act after the training: tests/search/training/test_effective.py
    trained = {"effective", "zero_skipping"}
    assert fields(EnergyGoal) - trained == {*ENERGY, *REFUSED}
    assert fields(BitsGoal) - trained == {*BITS}
    assert fields(CountGoal) - trained == {*COUNT}
    assert fields(CostOptions) == {*OPTIONS}
    assert fields(BitsOptions) == {*BITS_OPTIONS}


def figures(goal: Goal) -> tuple[Any, ...]:
    """All that a search computes from its goal."""
    pricer, factor = Pricer(goal, NETWORK), forgiving_factor(goal)
    reference, cost = pricer.reference(), pricer.price(ASSIGNMENT)
    values = (cost.value, reference.value / 2, 2 * reference.value)
    scores = [factor.score(0.9, value, reference.value) for value in values]
    return reference, cost, scores


@pytest.mark.parametrize(
    ("goal", "changes"),
    [
        *((EnergyGoal(), {name: value}) for name, value in ENERGY.items()),
        *((BitsGoal(), {name: value}) for name, value in BITS.items()),
        *((CountGoal(kind="bops"), {name: value}) for name, value in COUNT.items()),
    ],
    ids=str,
)
def test_an_option_of_a_goal_acts(goal: Goal, changes: dict[str, Any]) -> None:
    other = type(goal).model_validate(goal.model_dump() | changes)
    assert figures(other) != figures(goal)


def answered(settings: dict[str, Any]) -> tuple[Any, ...]:
    request = {
        "model": "digits_cnn",
        "quantizers": {"conv2d_0": {"kernel": "quantized_po2(4)"}, "dense": {"kernel": "quantized_po2(4)"}},
        "distinct": {"conv2d_0": {"kernel": 3}},
        "settings": settings,
    }
    answer = price_network(CostSpec.model_validate(request)).answer()
    return answer.energy_pj, answer.costs


@pytest.mark.parametrize(
    "settings",
    [
        *({name: value} for name, value in OPTIONS.items()),
        *({"bits": {name: value}} for name, value in BITS_OPTIONS.items()),
    ],
    ids=str,
)
def test_an_option_of_a_cost_request_acts(settings: dict[str, Any]) -> None:
    assert answered(settings) != answered({})


# --- what is refused -----------------------------------------------------------------------------------------


def test_a_search_refuses_to_price_trained_values() -> None:
    goal = {"kind": "energy", "trained_model": True}
    job = {"model": "jet_mlp", "limits": {"by_class": {"Dense": 8}}, "goal": goal}
    with pytest.raises(InvalidRequest) as refusal:
        parse_submission(json.dumps(job).encode())
    (problem,) = refusal.value.problems
    assert problem.pointer == "/goal/trained_model"
    assert "--inference" in problem.message


def test_an_imported_configuration_says_that_trained_values_are_left_out() -> None:
    goal = {"type": "energy", "params": {"trained_model": True}}
    imported = import_run_config({"goal": goal, "limit": {"Dense": [8, 8, 4]}}, "jet_mlp")
    assert "trained_model" not in imported.job["goal"]
    assert any("trained_model" in quirk for quirk in imported.quirks)
    assert imported.job["inputs"] == "priced"
    assert imported.job["goal"]["unquantized"] == "reference"


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"settings": {"inference": True}}, "/settings/inference"),
        (
            {
                "settings": {"source": "int8"},
                "quantizers": {"input": {"activation": "quantized_bits(4,0,1)"}},
            },
            "/settings/source",
        ),
    ],
)
def test_a_cost_request_refuses_what_would_not_act(changes: dict[str, Any], pointer: str) -> None:
    request = {"model": "digits_cnn", "quantizers": {"dense": {"kernel": "quantized_po2(4)"}}} | changes
    with pytest.raises(InvalidSpec) as refusal:
        price_network(CostSpec.model_validate(request))
    assert [problem.pointer for problem in refusal.value.problems] == [pointer]
