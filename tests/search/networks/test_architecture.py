"""The network a job starts from, and what is said about one that cannot be searched."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from costmodel.descriptions import clean
from search.errors import InvalidSpec, Problem
from search.networks import architecture as models
from search.networks.architecture import Output
from search.networks.zoo import ZOO, conv_block_network, zoo_config
from search.spec.job import ArchitectureModel, ZooModel


def net() -> dict[str, Any]:
    return copy.deepcopy(conv_block_network("net", (8, 8, 1), 10, 3, [4]))


def changed(layer: str, **config: Any) -> dict[str, Any]:
    """The small network with other values in one layer's configuration."""
    network_config = net()
    [entry_of_layer] = [entry for entry in network_config["config"]["layers"] if entry["name"] == layer]
    entry_of_layer["config"].update(config)
    return network_config


def problem(config: dict[str, Any]) -> Problem:
    with pytest.raises(InvalidSpec) as caught:
        models.output(models.network(ArchitectureModel(config=config)), "/model/config")
    [fault] = caught.value.problems
    return fault


@pytest.mark.parametrize("name", ZOO)
def test_every_zoo_network_can_be_searched(name: str) -> None:
    assert len(models.network(ZooModel(name=name)).outputs) == 1


def test_an_unknown_zoo_network_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidSpec) as caught:
        models.network(ZooModel(name="resnet50"))
    [fault] = caught.value.problems
    assert fault.pointer == "/model/name"
    assert all(name in fault.message for name in ZOO)


def test_of_a_given_architecture_what_is_cleaned_is_taken() -> None:
    cleaned = models.architecture(ArchitectureModel(config=net()))
    assert cleaned == clean(net()).document
    assert models.architecture(ArchitectureModel(config=cleaned)) == cleaned


def test_the_input_shape_is_that_of_one_example() -> None:
    assert models.input_shape(models.network(ArchitectureModel(config=net()))) == (8, 8, 1)


def test_an_unsupported_layer_is_pointed_to_and_the_supported_ones_are_listed() -> None:
    config = net()
    config["config"]["layers"][2]["class_name"] = "Lambda"
    fault = problem(config)
    assert fault.pointer == "/model/config/config/layers/2/class_name"
    assert "Lambda" in fault.message
    assert "Conv2D" in fault.message


def test_a_wrong_field_is_pointed_to() -> None:
    assert problem(changed("conv2d_0", filters=-1)).pointer == "/model/config/config/layers/1/config/filters"


def test_a_configuration_without_its_wrapping_is_pointed_into_too() -> None:
    config = changed("conv2d_0", filters=-1)["config"]
    assert problem(config).pointer == "/model/config/layers/1/config/filters"


@pytest.mark.parametrize("config", [{}, {"class_name": "Functional"}, {"layers": []}, {"class_name": 3}])
def test_what_is_no_model_is_refused(config: dict[str, Any]) -> None:
    assert problem(config).pointer.startswith("/model/config")


def with_last_activation(activation: Any, classes: int) -> dict[str, Any]:
    config = copy.deepcopy(conv_block_network("net", (8, 8, 1), classes, 3, [4]))
    config["config"]["layers"][-1]["config"]["activation"] = activation
    return config


@pytest.mark.parametrize(
    ("activation", "scores", "kind"),
    [
        ("softmax", 10, "softmax"),
        ("linear", 10, "linear"),
        ("sigmoid", 1, "sigmoid"),
        ("linear", 1, "linear"),
        ({"module": "keras.activations", "class_name": "function", "config": "softmax"}, 10, "softmax"),
    ],
)
def test_classifiers_end_in_scores(activation: Any, scores: int, kind: Any) -> None:
    plain = models.network(ArchitectureModel(config=with_last_activation(activation, scores)))
    assert models.output(plain) == Output(kind, scores)


@pytest.mark.parametrize(
    ("activation", "scores", "allowed"),
    [
        ("relu", 10, "softmax or linear"),
        ("sigmoid", 10, "softmax or linear"),
        ("softmax", 1, "sigmoid or linear"),
    ],
)
def test_other_endings_are_refused(activation: str, scores: int, allowed: str) -> None:
    fault = problem(with_last_activation(activation, scores))
    assert f"ends the model in {activation}" in fault.message
    assert allowed in fault.message


def test_an_activation_layer_at_the_end_is_not_taken_for_linear() -> None:
    config = net()
    config["config"]["layers"][-1]["class_name"] = "ReLU"
    del config["config"]["layers"][-1]["config"]["activation"]
    assert "ends the model in relu" in problem(config).message


def test_one_score_tells_two_classes_apart() -> None:
    assert Output("sigmoid", 1).classes == 2


def test_the_activation_may_stand_before_a_flatten() -> None:
    config = net()
    layers = config["config"]["layers"]
    flat = copy.deepcopy(layers[-1]) | {"class_name": "Flatten", "name": "flat"}
    flat["config"] = {"name": "flat"}
    flat["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = ["softmax", 0, 0]
    layers.append(flat)
    config["config"]["output_layers"] = ["flat", 0, 0]
    assert models.output(models.network(ArchitectureModel(config=config))) == Output("softmax", 10)


def test_a_picture_that_is_no_scores_is_refused() -> None:
    config = net()
    config["config"]["output_layers"] = ["act_0", 0, 0]
    assert "must end in softmax or linear" in problem(config).message


def test_one_layer_is_not_two_outputs() -> None:
    config = net()
    config["config"]["output_layers"] = [["softmax", 0, 0], ["softmax", 0, 0]]
    assert "each output must be a separate layer" in problem(config).message


def test_a_configuration_is_never_changed() -> None:
    config = zoo_config("jet_mlp")
    models.network(ArchitectureModel(config=config))
    assert config == zoo_config("jet_mlp")
