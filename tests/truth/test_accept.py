"""The dry run accepts what a worker trains, and nothing else: random networks, names, operators, policies.

`benchmarks/truth.py` asks the same of 300 networks.
"""

from __future__ import annotations

import json
import warnings
from typing import Any

import keras
import pytest

from costmodel.layer_classes import KERAS_LAYERS
from tests.costmodel.build import tensor
from tests.search.nets import functional, layer
from tests.truth.acceptance import differences_of_acceptance, disagreement, refusal
from tests.truth.variants import WRONG, wrong

layers, ops = keras.layers, keras.ops

pytestmark = [
    pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match"),
    pytest.mark.filterwarnings("ignore:.*destroy the mask information"),
]


def written(model: keras.Model) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(model.to_json())
    return document


@pytest.mark.parametrize("number", [9, 10, 29, 131, 192, 294, 310])
def test_what_the_dry_run_accepts_is_trained_saved_and_loaded(number: int) -> None:
    assert differences_of_acceptance(number) == []


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_built_is_refused_with_the_layer(what: str) -> None:
    reason = refusal(wrong(5, what), 5)
    assert reason is not None
    assert "/model/config/config/layers/" in reason
    assert reason.isprintable()


#: Names that are allowed and look as if they were not.
NAMES = (
    "-x",
    ".x",
    "x.",
    "a>b",
    "A",
    "a",
    "0",
    "_",
    "kernel",
    "dense.kernel",
    "x" * 256,
    "con",
    "relu",
    "training",
)


def test_every_name_that_is_accepted_trains_is_saved_and_loaded() -> None:
    chain, before = [], "input"
    for name in NAMES:
        config = {"units": 3, "activation": "relu"} if len(chain) < 4 else {}
        chain.append(layer("Dense" if config else "ReLU", name, [before], **config))
        before = name
    chain.append(layer("Dense", "output", [before], units=3, activation="softmax"))
    document = functional((4,), chain)
    assert refusal(document, 0) is None
    assert disagreement(document, 0) is None


def every_operator() -> keras.Model:
    """A network of operators alone, between two Dense layers."""
    inputs = keras.Input((6,))
    x = layers.Dense(4)(inputs)
    x = ops.relu(x) + keras.activations.gelu(x)
    x = x * ops.sigmoid(x) - ops.maximum(ops.tanh(x), ops.minimum(x, ops.silu(x)))
    functions = [
        ops.square(x),
        ops.leaky_relu(x, negative_slope=0.1),
        keras.activations.relu(x, max_value=4.0),
    ]
    x = ops.reshape(ops.concatenate(functions, axis=-1), (-1, 2, 6))
    x = ops.transpose(x, (0, 2, 1))
    x = ops.concatenate([ops.mean(x, axis=1), ops.max(x, axis=1), ops.elu(ops.mean(x, axis=-2))], axis=-1)
    x = layers.Dense(4, activation=layers.LeakyReLU(negative_slope=0.1))(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def test_operators_train_as_the_layers_they_are() -> None:
    document = written(every_operator())
    classes = [
        entry["class_name"] for entry in document["config"]["layers"] if "ops" in str(entry.get("module"))
    ]
    assert len(classes) > 12
    assert disagreement(document, 1) is None
    assert refusal(document, 1) is None


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_every_policy_of_floats_is_accepted(policy: str) -> None:
    dense = layers.Dense(3, activation="softmax", dtype=policy)
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(4, dtype=policy), layers.BatchNormalization(dtype=policy), dense]
    )
    assert refusal(written(model), 2) is None


def test_a_model_in_mixed_precision_trains() -> None:
    dense = layers.Dense(3, activation="softmax", dtype="mixed_float16")
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4, dtype="mixed_float16"), dense])
    assert disagreement(written(model), 3) is None


def test_a_quantized_model_is_refused() -> None:
    model = keras.Sequential([keras.Input((6,)), layers.Dense(3, activation="softmax")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras quantizes no InputLayer, and says so
        model.quantize("int8")
    reason = refusal(written(model), 4)
    assert reason is not None
    assert "model.quantize()" in reason


@pytest.mark.parametrize("class_name", sorted(KERAS_LAYERS - {"InputLayer"}))
def test_no_class_is_refused_as_one_of_those_that_are_allowed(class_name: str) -> None:
    """An operator may have the name of a layer: no error lists as allowed what it refuses."""
    entry = {
        "module": "keras.src.ops.numpy",
        "class_name": class_name,
        "config": {"name": "op"},
        "registered_name": class_name,
        "name": "op",
        "inbound_nodes": [{"args": [tensor("input")], "kwargs": {}}],
    }
    document = functional((6,), [layer("Dense", "output", ["op"], units=3, activation="softmax")])
    document["config"]["layers"].append(entry)
    reason = refusal(document, 6)
    if reason is not None:
        assert class_name not in reason.partition("allowed")[2].replace(":", ",").split(", ")
        assert class_name not in reason.partition("read as layers:")[2].split(", ")


def test_a_softmax_of_a_masked_sequence_is_refused_with_the_remedy() -> None:
    chain = [
        layer("Embedding", "table", ["input"], input_dim=20, output_dim=3, mask_zero=True),
        layer("Softmax", "softmax", ["table"]),
        layer("Flatten", "flat", ["softmax"]),
        layer("Dense", "output", ["flat"], units=3, activation="softmax"),
    ]
    reason = refusal(functional((6,), chain), 0)
    assert reason is not None
    assert reason.startswith("/model/config/config/layers/2")
    assert "Activation('softmax')" in reason
