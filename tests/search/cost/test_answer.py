"""What a network costs, asked and answered as plain values."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from costmodel.costs import COSTS
from costmodel.layer_classes import LAYER_CLASSES, priced_slots
from costmodel.network import read_network
from quantization.specs.slots import searched_slots
from search.cost.answer import NetworkCost, price_network
from search.cost.pricing import Pricer
from search.cost.profiles import built_in
from search.errors import InvalidSpec
from search.networks.architecture import priceable
from search.networks.zoo import zoo_config
from search.plans.kinds import plan
from search.spec.cost import COST_NAMES, CostSpec, goal_options
from search.spec.goals import BitsGoal, EnergyGoal, Goal
from search.spec.job import ZooModel
from tests.search.conftest import small_spec
from tests.search.nets import functional, layer, residual

SRAM_16_MB = 16 * 8 * 1024 * 1024
FOUR_BITS = {"kernel": "quantized_bits(4,0,1,alpha=1.0)", "bias": "quantized_bits(8,3,1)"}


def ask(model: Any = "jet_mlp", **fields: Any) -> NetworkCost:
    return price_network(CostSpec.model_validate({"model": model, **fields})).answer()


def described(config: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "architecture", "config": config}


def faults(model: Any = "jet_mlp", **fields: Any) -> dict[str, str]:
    with pytest.raises(InvalidSpec) as raised:
        ask(model, **fields)
    return {problem.pointer: problem.message for problem in raised.value.problems}


# --- figures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "settings", "energy_pj"),
    [
        ("mnist_convblock", {"source": "int8", "min_sram_size_bits": SRAM_16_MB}, 3_295_146),
        ("mnist_convblock", {"internal": "int8", "accumulator": "int32"}, 574_164),
        ("jet_mlp", {"source": "int8"}, 19_941),
    ],
)
def test_the_bit_compatible_profile_gives_qtools_references(
    model: str, settings: dict[str, Any], energy_pj: float
) -> None:
    assert ask(model, settings={"profile": "horowitz-qkeras", **settings}).energy_pj == energy_pj


def test_the_input_of_a_bundled_network_may_have_the_name_of_version_0_1() -> None:
    costs = [
        ask(quantizers={name: {"activation": "quantized_bits(4,0,1)"}}).energy_pj
        for name in ("input", "inputs")
    ]
    assert costs[0] == costs[1] < ask(quantizers={}).energy_pj


def test_without_quantizers_the_reference_is_priced() -> None:
    answer = ask()
    assert not answer.quantized
    assert answer.energy_pj == answer.reference_pj


def test_fewer_bits_cost_less_than_the_reference() -> None:
    answer = ask(quantizers={"fc1": FOUR_BITS, "fc2": FOUR_BITS})
    assert answer.quantized
    assert answer.energy_pj < answer.reference_pj == ask().energy_pj


def test_a_layer_named_without_slots_is_not_the_float_layer() -> None:
    """Its class is a quantized one: its sums keep their own type."""
    settings = {"internal": "int8", "accumulator": "fp32"}
    assert (
        ask(quantizers={"fc1": {}}, settings=settings).energy_pj
        != ask(quantizers={}, settings=settings).energy_pj
    )


def test_the_counted_parts_of_the_layers_are_the_networks_energy() -> None:
    answer = ask("mnist_convblock")
    sums = answer.inputs_pj + answer.parameters_pj + answer.operations_pj + answer.outputs_pj
    assert sums == pytest.approx(answer.energy_pj)
    assert sum(layer.included_pj for layer in answer.layers) == pytest.approx(answer.energy_pj)
    assert sum(layer.share for layer in answer.layers) == pytest.approx(1)


def test_a_width_changes_the_network_but_not_its_reference() -> None:
    answer = ask(quantizers={"fc1": FOUR_BITS}, widths={"fc1": 8})
    assert answer.layers[0].output_shape == (8,)
    assert answer.reference_pj == ask().energy_pj


def test_every_cost_of_the_cost_model_can_be_asked_for() -> None:
    assert set(COST_NAMES) == set(COSTS)
    assert set(ask().costs) == set(COSTS)
    assert set(ask(costs=["macs", "bits"]).costs) == {"macs", "bits"}


@pytest.mark.parametrize(("internal", "bits"), [("fp32", 32), ("int8", 8)])
def test_unquantized_parameters_take_the_bits_of_their_type(internal: str, bits: int) -> None:
    costs = ask(settings={"internal": internal}).costs
    assert costs["parameter_bits"].value == bits * (16 * 64 + 64 + 64 * 32 + 32 + 32 * 32 + 32 + 32 * 5 + 5)


def test_a_network_that_no_search_could_train_is_priced() -> None:
    """It gives an image, and it has two outputs."""
    config = functional(
        (8, 8, 1),
        [
            layer("Conv2D", "conv", ["input"], filters=4, kernel_size=[3, 3], padding="same", strides=[1, 1]),
            layer("Conv2D", "head", ["conv"], filters=1, kernel_size=[1, 1], padding="same", strides=[1, 1]),
        ],
        outputs=["conv", "head"],
    )
    assert ask(described(config)).energy_pj > 0


def test_memory_options_reach_the_price() -> None:
    sram = ask().energy_pj
    assert ask(settings={"parameters_on_memory": "fixed"}).energy_pj < sram
    assert ask(settings={"capacity_bits": 1}).energy_pj > sram
    assert ask(settings={"reuse": 1}).energy_pj > sram
    assert ask(settings={"rd_wr_on_io": True}).energy_pj > sram


def test_the_reference_can_be_priced_otherwise_than_the_trial() -> None:
    trial = {"parameters_on_memory": "sram"}
    answer = ask(quantizers={"fc1": FOUR_BITS}, settings=trial, reference={"parameters_on_memory": "dram"})
    assert answer.reference_pj == ask(settings={"parameters_on_memory": "dram"}).energy_pj
    assert answer.energy_pj == ask(quantizers={"fc1": FOUR_BITS}, settings=trial).energy_pj


# --- explanations and types ----------------------------------------------------------------------------------------


def test_an_explanation_names_formula_and_source_of_every_figure() -> None:
    explanation = ask(explain="fc1").explanation
    assert explanation is not None
    assert {line["part"] for line in explanation["lines"]} == {
        "inputs",
        "parameters",
        "operations",
        "outputs",
    }
    assert all(line["formula"] and line["source"] for line in explanation["lines"])
    counted = sum(line["energy_pj"] for line in explanation["lines"] if line["included"])
    assert counted == pytest.approx(explanation["included_pj"])


def test_types_are_given_in_qtools_fields() -> None:
    types = ask(quantizers={"fc1": FOUR_BITS}, types=True).types
    assert types is not None
    assert types["fc1"]["weight_quantizer"]["bits"] == 4
    assert types["fc1"]["layer_type"] == "QDense"


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "pointer", "says"),
    [
        ({"model": "jet_mpl"}, "/model/name", "jet_mlp"),
        ({"quantizers": {"fc9": {}}}, "/quantizers/fc9", "did you mean 'fc"),
        ({"quantizers": {"a/b": {}}}, "/quantizers/a~1b", "the layers are"),
        (
            {"quantizers": {"fc1": {"kernal": "binary"}}},
            "/quantizers/fc1/kernal",
            "it has kernel, bias, activation",
        ),
        ({"quantizers": {"input": {"kernel": "binary"}}}, "/quantizers/input/kernel", "it has activation"),
        ({"widths": {"relu1": 3}}, "/widths/relu1", "with filters or units"),
        ({"explain": "fc7"}, "/explain", "did you mean"),
        ({"explain": "input"}, "/explain", "that has a price"),
        ({"settings": {"profile": "5nm"}}, "/settings/profile", "known: horowitz, horowitz-qkeras, 7nm"),
        ({"settings": {"profile": {"name": "x"}}}, "/settings/profile/fixed_add", "missing"),
        ({"reference": {"profile": "5nm"}}, "/reference/profile", "known: horowitz"),
        ({"settings": {"bits": {"config": {"Dense": []}}}}, "/settings/bits/config", "counts nothing"),
    ],
)
def test_what_the_network_does_not_have_is_refused_with_a_pointer(
    fields: dict[str, Any], pointer: str, says: str
) -> None:
    problems = faults(**fields)
    assert list(problems) == [pointer]
    assert says in problems[pointer]


@pytest.mark.parametrize("accounting", ["qtools", "corrected"])
def test_a_profile_without_a_finite_price_is_refused(accounting: str) -> None:
    steep = {"points": [[1, 1e-11], [1.0000001, 1e11]], "source": "nowhere"}
    floats = {"add": 1, "multiply": 1, "source": "nowhere"}
    profile = {"name": "steep", "title": "steep", "process_nm": 1, "accounting": accounting}
    profile |= {"fixed_add": steep, "fixed_multiply": steep, "float16": floats, "float32": floats}
    profile |= {"sram": {"access_bits": 64, **steep}, "dram": {"pj_per_bit": 1, "source": "nowhere"}}
    problems = faults(settings={"profile": profile})
    assert problems == {"/settings/profile": "this profile gives a price that is not finite"}


@pytest.mark.parametrize("field", ["min_sram_size_bits", "capacity_bits", "reuse"])
def test_a_size_that_no_machine_has_is_refused(field: str) -> None:
    assert list(faults(settings={field: 2**61})) == [f"/settings/{field}"]


def test_every_unknown_slot_is_named_at_once() -> None:
    problems = faults(quantizers={"fc1": {"a": "binary", "b": "binary"}, "fc9": {}})
    assert list(problems) == ["/quantizers/fc1/a", "/quantizers/fc1/b", "/quantizers/fc9"]


def test_a_width_that_breaks_a_later_layer_is_refused() -> None:
    """The second convolution is added to the first: both must be as wide."""
    (pointer,) = faults(described(residual()), widths={"conv_a": 4})
    assert pointer.startswith("/widths")


def test_types_that_cannot_be_priced_are_refused_at_their_layer() -> None:
    """Nothing divides by -1, 0 and 1."""
    problems = faults("mnist_convblock", quantizers={"bn_0": {"variance": "ternary()"}})
    assert list(problems) == ["/quantizers/bn_0"]


@pytest.mark.parametrize(
    "fields",
    [
        {"settings": {"min_sram_size_bits": -1}},
        {"settings": {"capacity_bits": 0}},
        {"settings": {"internal": "int4"}},
        {"settings": {"source": "int9"}},
        {"settings": {"colour": 1}},
        {"widths": {"fc1": 0}},
        {"costs": ["latency"]},
        {"quantizers": {"fc1": {"kernel": "binaryy"}}},
    ],
)
def test_a_malformed_question_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ask(**fields)


# --- files and jobs ------------------------------------------------------------------------------------------------


def test_the_quantizers_json_of_a_trial_states_quantizers_and_widths() -> None:
    document = {
        "layers": [
            {"name": "input", "class_name": "InputLayer", "width": None, "quantizers": {}},
            {
                "name": "fc1",
                "class_name": "QuantizedDense",
                "width": 32,
                "quantizers": {
                    "kernel": {"text": "ternary()", "structured": {"kind": "ternary"}},
                    "bias": None,
                },
            },
            {"name": "relu1", "class_name": "QuantizedActivation", "width": None, "quantizers": {}},
            {"name": "fc2", "class_name": "Dense", "width": 32, "quantizers": {}},
        ]
    }
    spec = CostSpec.model_validate({"model": "jet_mlp", "quantizers": document})
    assert spec.quantizers is not None
    assert list(spec.quantizers) == ["fc1", "relu1"]
    assert str(spec.quantizers["fc1"]["kernel"]).startswith("ternary")
    plainly = {"fc1": {"kernel": "ternary()"}, "relu1": {}}
    assert price_network(spec).answer() == ask(quantizers=plainly, widths={"fc1": 32})


def test_the_saved_files_of_a_built_network_give_the_price_of_its_trial(tmp_path: Path) -> None:
    """Through Keras: what is written of a real model is what the job priced."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from search.networks.architecture import architecture
    from search.training.artifacts import quantizer_document
    from search.training.build import assemble, trial_description

    job = small_spec()
    searched = plan(job, tmp_path)
    labels = {name: values[len(values) // 2] for name, values in searched.choices.dimensions().items()}
    labels |= {width.name: 0.5 for width in searched.choices.widths}
    assignment = searched.choices.assignment(labels)
    assert assignment.widths
    model = assemble(assignment, trial_description(job, architecture(job.model)), seed=1)
    document = json.loads(json.dumps(quantizer_document(model), allow_nan=False))

    reference, trial = goal_options(job.goal)
    request = {"quantizers": document, "settings": trial, "reference": reference}
    answer = ask(described(document["architecture"]), **request)
    expected = searched.pricer.price(assignment)
    assert answer.energy_pj == expected.energy_pj
    assert answer.costs["bits"].value == expected.bits


@pytest.mark.parametrize(
    "goal",
    [
        EnergyGoal(),
        EnergyGoal(profile="horowitz", parameters_on_memory=("dram", "sram"), min_sram_size=(0, 65536)),
        EnergyGoal(reference_internal="fp32", reference_accumulator="fp32", rd_wr_on_io=(True, False)),
        BitsGoal(ref_bits=32, config={"default": ("parameters",)}),
    ],
)
def test_a_job_is_priced_as_its_goal_says(goal: Goal) -> None:
    reference, trial = goal_options(goal)
    answer = ask("mnist_convblock", settings=trial, reference=reference)
    expected = Pricer(goal, priceable(ZooModel(name="mnist_convblock"))).reference()
    assert answer.energy_pj == expected.energy_pj
    assert answer.costs["bits"].value == expected.bits


# --- slots and profiles --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mnist_convblock", "fashion_mnist_convblock", "jet_mlp"])
def test_every_slot_a_search_can_quantize_can_be_priced(name: str) -> None:
    for model_layer in read_network(zoo_config(name)).layers:
        assert {slot for slot, _ in searched_slots(model_layer)} <= set(priced_slots(model_layer))


def test_a_recurrent_layer_takes_every_slot_a_search_gives_it() -> None:
    config = functional((6, 3), [layer("LSTM", "lstm", ["input"], units=4)])
    (lstm,) = [layer for layer in read_network(config).layers if layer.name == "lstm"]
    assert {slot.name for slot in LAYER_CLASSES["LSTM"].slots} <= set(priced_slots(lstm))


def test_every_built_in_profile_tells_the_source_of_every_figure() -> None:
    profiles = {profile.name: profile for profile in built_in()}
    assert list(profiles) == ["horowitz", "horowitz-qkeras", "7nm"]
    for profile in profiles.values():
        assert all(figure.source and figure.prices_pj for figure in profile.figures)
    assert not profiles["horowitz"].second_hand
    assert set(profiles["7nm"].second_hand) == {figure.table for figure in profiles["7nm"].figures}
    assert profiles["horowitz"].figures[1].prices_pj["32 bits"] == pytest.approx(3.1, rel=1e-3)
