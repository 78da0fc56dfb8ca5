"""One price for one model, whoever asks: the job, the built model, and `fewbits cost` of what a trial leaves."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from quantization.models.convert import quantize
from quantization.specs.parse import parse_quantizer
from search.cost.answer import price_network
from search.cost.pricing import Pricer
from search.cost.unquantized import cost_warnings, float_layers
from search.networks.architecture import architecture, network
from search.networks.zoo import ZOO
from search.space.choices import choices
from search.space.extremes import extremes
from search.space.normalization import trial_network
from search.spec.cost import CostSpec, options_document
from search.spec.job import SearchSpec
from search.training.artifacts import quantizer_document
from service.cli.cost_question import CostArguments, question
from tests.search.nets import functional, layer
from tests.truth.checks import price_differences
from tests.truth.networks import Drawn, buildable, random_assignment

_INPUT = {"input": {"activation": parse_quantizer("quantized_bits(8,0,1)")}}
_SAME = {"kernel_size": [3, 3], "padding": "same", "strides": [1, 1]}


def _conv_pool_relu() -> dict[str, Any]:
    """Conv(relu) - BatchNormalization - MaxPooling - Conv - BatchNormalization - ReLU."""
    return functional(
        (8, 8, 1),
        [
            layer("Conv2D", "conv1", ["input"], filters=4, activation="relu", **_SAME),
            layer("BatchNormalization", "bn1", ["conv1"], axis=-1),
            layer("MaxPooling2D", "pool", ["bn1"], pool_size=[2, 2]),
            layer("Conv2D", "conv2", ["pool"], filters=4, **_SAME),
            layer("BatchNormalization", "bn2", ["conv2"], axis=-1),
            layer("ReLU", "relu", ["bn2"]),
            layer("Flatten", "flat", ["relu"]),
            layer("Dense", "out", ["flat"], units=3, activation="softmax"),
        ],
    )


def _mobile() -> dict[str, Any]:
    """An inverted residual block of MobileNet."""
    return functional(
        (8, 8, 4),
        [
            layer("Conv2D", "expand", ["input"], filters=8, kernel_size=[1, 1], padding="same"),
            layer("BatchNormalization", "bn_expand", ["expand"], axis=-1),
            layer("ReLU", "relu", ["bn_expand"], max_value=6.0),
            layer("DepthwiseConv2D", "depthwise", ["relu"], **_SAME),
            layer("BatchNormalization", "bn_depthwise", ["depthwise"], axis=-1),
            layer("ReLU", "relu2", ["bn_depthwise"], max_value=6.0),
            layer("Conv2D", "project", ["relu2"], filters=4, kernel_size=[1, 1], padding="same"),
            layer("Add", "sum", ["input", "project"]),
            layer("GlobalAveragePooling2D", "pool", ["sum"]),
            layer("Dense", "out", ["pool"], units=3),
        ],
    )


def _attention() -> dict[str, Any]:
    """A block of a transformer."""
    return functional(
        (6, 4),
        [
            layer("MultiHeadAttention", "attention", ["input", "input"], num_heads=2, key_dim=2),
            layer("Add", "sum", ["input", "attention"]),
            layer("LayerNormalization", "norm", ["sum"], axis=-1),
            layer("Dense", "hidden", ["norm"], units=8, activation="gelu"),
            layer("GlobalAveragePooling1D", "pool", ["hidden"]),
            layer("Dense", "out", ["pool"], units=3),
        ],
    )


USERS: dict[str, Callable[[], dict[str, Any]]] = {
    "conv_pool_relu": _conv_pool_relu,
    "mobile": _mobile,
    "attention": _attention,
}
NORMALIZATIONS = ("fold", "quantize", "float")


def drawn(model: Any, **fields: Any) -> Drawn:
    """A job that limits every class that it can."""
    plain = network(SearchSpec.model_validate({"model": model, "limits": {"by_class": {"Dense": 8}}}).model)
    classes = ("Dense", "Conv2D", "DepthwiseConv2D", "Activation", "MultiHeadAttention")
    present = [name for name in classes if any(layer.class_name == name for layer in plain.layers)]
    limits = {"by_class": dict.fromkeys(present, 8)}
    spec = SearchSpec.model_validate({"model": model, "limits": limits, **fields})
    space = replace(choices(spec, plain), fixed={plain.inputs[0]: _INPUT["input"]})
    return Drawn(spec, trial_network(spec, plain), space)


def user(name: str, **fields: Any) -> Drawn:
    return drawn({"kind": "architecture", "config": buildable(USERS[name]())}, **fields)


@pytest.mark.parametrize("name", [name for name in ZOO if not name.startswith("cifar")])
def test_a_trial_of_the_zoo_costs_what_its_model_costs(name: str) -> None:
    job = drawn(name)
    assert price_differences(job, random_assignment(job.choices, random.Random(1))) == []


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("name", USERS)
def test_a_trial_of_a_users_network_costs_what_its_model_costs(name: str, normalization: str) -> None:
    job = user(name, normalization=normalization)
    assert price_differences(job, random_assignment(job.choices, random.Random(2))) == []


# --- what the job priced, from its file alone ---------------------------------------------------------------------


def test_the_file_of_a_trial_gives_price_and_reference_of_its_job(tmp_path: Path) -> None:
    """A job that only limits Dense: the convolutions stay float, and cost that."""
    limits = {"by_class": {"Dense": [8, 8, 4]}}
    spec = SearchSpec.model_validate({"model": "digits_cnn", "limits": limits, "normalization": "float"})
    plain = network(spec.model)  # type: ignore[arg-type]
    space, pricer = choices(spec, plain), Pricer(spec.goal, plain)
    assignment = random_assignment(space, random.Random(0))
    model = quantize(architecture(spec.model), assignment.quantizers)  # type: ignore[arg-type]
    document = quantizer_document(model, options_document(spec.goal, quantized_inputs=False))
    file = tmp_path / "quantizers.json"
    file.write_text(json.dumps(document))

    answer = price_network(question(CostArguments(str(file))).spec).answer()
    expected, reference = pricer.price(assignment), pricer.reference()
    assert (answer.energy_pj, answer.costs["bits"].value) == (expected.energy_pj, expected.bits)
    assert answer.reference_pj == reference.energy_pj

    as_autoqkeras = spec.goal.model_copy(update={"unquantized": "reference"})
    assert expected.energy_pj > 5 * Pricer(as_autoqkeras, plain).price(assignment).energy_pj
    assert expected.bits > 3 * Pricer(as_autoqkeras, plain).price(assignment).bits


def test_widths_of_a_trial_leave_its_reference_alone() -> None:
    job = drawn("jet_mlp", filters={"by": "layer"})
    values = {name: labels[0] for name, labels in job.choices.dimensions().items()}
    assignment = job.choices.assignment(values)
    assert assignment.widths
    config = architecture(job.spec.model)  # type: ignore[arg-type]
    model = quantize(config, assignment.quantizers, assignment.widths)
    options = options_document(job.spec.goal, quantized_inputs=True, reference=config)
    document = json.loads(json.dumps(quantizer_document(model, options)))
    request = {"model": {"kind": "architecture", "config": document["architecture"]}, "quantizers": document}
    answer = price_network(CostSpec.model_validate(request)).answer()
    pricer = Pricer(job.spec.goal, job.network)
    assert answer.reference_pj == pricer.reference().energy_pj
    assert answer.energy_pj == pricer.price(assignment).energy_pj


# --- what stays float -----------------------------------------------------------------------------------------


def test_what_stays_float_is_shown_with_what_it_costs() -> None:
    job = user("conv_pool_relu", normalization="float")
    pricer = Pricer(job.spec.goal, job.network)
    ends = extremes(job.choices, pricer)
    assert ends is not None
    cheapest, cost = ends.cheapest.assignment, ends.cheapest.cost
    shown = {layer.name: layer for layer in float_layers(pricer, cheapest, cost)}
    assert shown["bn1"].tensors[-1] == "output"
    assert "input" in shown["conv2"].tensors  # pooling hands floats on
    assert "conv1" not in shown
    assert sum(layer.share for layer in shown.values()) <= 1
    warnings = cost_warnings(job.choices, pricer, cheapest, cost, pricer.reference())
    assert any("more than the reference" in warning and "conv2" in warning for warning in warnings)


def test_a_network_without_floats_shows_none() -> None:
    job = drawn("diabetes_mlp")
    pricer = Pricer(job.spec.goal, job.network)
    assignment = random_assignment(job.choices, random.Random(3))
    assert float_layers(pricer, assignment, pricer.price(assignment)) == ()
    reference, cost = pricer.reference(), pricer.price(assignment)
    assert cost_warnings(job.choices, pricer, assignment, cost, reference) == ()
