"""Descriptions of networks that hold more than a network: no door takes them, and nothing of them is run."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import keras
import pytest

from quantization.errors import UnsupportedModel
from quantization.models.convert import float_model
from search.networks.zoo import zoo_config
from tests.security.models import layer
from tests.security.uploading import Target, target


def keras_object(class_name: str, module: str = "keras.layers", **config: Any) -> dict[str, Any]:
    """An object as Keras serializes it."""
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": "hidden", **config},
        "registered_name": None,
    }


def function(module: str, name: str) -> dict[str, Any]:
    """A function as Keras serializes it."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


LAMBDA = keras_object(
    "Lambda", function=function("keras.config", "set_epsilon"), arguments={}, output_shape=None
)
#: What Keras would build, load or call if it met it.
HIDDEN: dict[str, Any] = {
    "a Lambda in a Sequential that calls keras.config.set_epsilon": keras_object(
        "Sequential", "keras", layers=[keras_object("InputLayer", batch_shape=[1, 4]), LAMBDA]
    ),
    "a Lambda": LAMBDA,
    "bytecode": {"class_name": "__lambda__", "config": {"value": ["4wEAAAA=", None, None]}},
    "a lookup in a file": keras_object("StringLookup", vocabulary="/etc/passwd"),
    "a vocabulary out of a file": keras_object("TextVectorization", vocabulary="/etc/passwd"),
    "a SavedModel": keras_object("TFSMLayer", filepath="/nowhere"),
    "a pickle": keras_object("TorchModuleWrapper", module="gASV"),
    "os.system": function("os", "system"),
    "a download": function("keras.utils", "get_file"),
    "a tensor": {"class_name": "__tensor__", "config": {"value": [1.0, 2.0], "dtype": "float32"}},
    "a built layer": keras_object("Dense", units=5) | {"build_config": {"input_shape": [None, 5]}},
}
PLACES = (
    "a keyword of a call",
    "an argument of a call",
    "a list in a call",
    "a field of a layer",
    "the layer",
)


def smuggled(name: str, place: str) -> dict[str, Any]:
    """A small network that hides an object in a place."""
    document, value = copy.deepcopy(zoo_config("jet_mlp")), copy.deepcopy(HIDDEN[name])
    entry = layer(document, "fc1")
    call = entry["inbound_nodes"][0]
    match place:
        case "a keyword of a call":
            call["kwargs"] = {"training": value}
        case "an argument of a call":
            call["args"].append(value)
        case "a list in a call":
            call["args"] = [[*call["args"], value]]
        case "a field of a layer":
            entry["config"]["kernel_initializer"] = value
        case _:
            entry["compile_config"] = value
    return document


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with target(tmp_path_factory.mktemp("architecture")) as service:
        yield service


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", HIDDEN)
def test_an_object_in_a_description_is_refused_at_every_door(service: Target, name: str, place: str) -> None:
    model = {"kind": "architecture", "config": smuggled(name, place)}
    job = {"model": model, "data": "digits", "limits": {"by_class": {"Dense": 8}}, "budget": {"trials": 1}}
    bodies = {"/v1/jobs": job, "/v1/jobs:validate": job, "/v1/cost": {"model": model}}
    for path, body in bodies.items():
        answer = service.http.post(path, json=body)
        assert answer.status_code == 422, answer.text
        [error] = answer.json()["errors"]
        assert error["pointer"].startswith("/model/config/config/layers/1"), error
    assert service.http.get("/v1/jobs").json()["items"] == []


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", HIDDEN)
def test_a_worker_builds_no_such_description_either(name: str, place: str) -> None:
    """Whatever way it got there: a description is cleaned again before Keras sees it."""
    before = keras.config.epsilon(), keras.config.floatx()
    with pytest.raises(UnsupportedModel):
        float_model(smuggled(name, place))
    assert (keras.config.epsilon(), keras.config.floatx()) == before


def test_what_is_stored_is_the_cleaned_description(service: Target) -> None:
    document = zoo_config("digits_cnn")
    document["compile_config"] = HIDDEN["bytecode"]
    first = next(entry for entry in document["config"]["layers"] if entry["class_name"] == "Dense")
    first["build_config"] = HIDDEN["a Lambda"]
    model = {"kind": "architecture", "config": document}
    job = {"model": model, "data": "digits", "limits": {"by_class": {"Dense": 8}}, "budget": {"trials": 1}}
    answer = service.http.post("/v1/jobs", json=job)
    assert answer.status_code == 202, answer.text
    stored = service.http.get(answer.headers["location"]).text
    assert "bytecode" not in stored
    assert "Lambda" not in stored
    assert "__lambda__" not in stored


def test_a_network_that_is_too_large_to_train_is_refused(service: Target) -> None:
    document = zoo_config("digits_cnn")
    first = next(entry for entry in document["config"]["layers"] if entry["class_name"] == "Dense")
    first["config"]["units"] = 2**30
    job = {
        "model": {"kind": "architecture", "config": document},
        "data": "digits",
        "limits": {"by_class": {"Dense": 8}},
        "budget": {"trials": 1},
    }
    answer = service.http.post("/v1/jobs:validate", json=job)
    assert answer.status_code == 422
    assert "weights are allowed" in answer.text or "268435456 are allowed" in answer.text
