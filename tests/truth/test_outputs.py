"""Activation layers, merges, poolings and linear sums are quantized in a search: in model, price, program, integers."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from costmodel.network import read_network
from quantization.integer.compile import integer_network
from quantization.models.convert import quantize, read_quantizers, transfer_weights
from quantization.switching.quantizer import choice_of, switch
from search.errors import InvalidSpec
from search.networks.architecture import network
from search.space.choices import Choices, choices
from search.spec.job import SearchSpec
from tests.truth.checks import price_differences
from tests.truth.networks import Drawn, random_assignment

L = keras.layers
CLASSES = (
    "Conv2D",
    "Dense",
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "Activation",
    "Add",
    "Concatenate",
    "MaxPooling2D",
)
OUTPUTS = ("AveragePooling2D", "UpSampling2D", "Bidirectional")


def user_network() -> keras.Model:
    inputs = keras.Input((8, 8, 2), name="in")
    x = L.ReLU(6.0, name="relu6")(L.Conv2D(4, 3, padding="same", name="c1")(inputs))
    y = L.Conv2D(4, 3, padding="same", name="c2")(x)  # linear, and summed up
    x = L.LeakyReLU(0.25, name="leaky")(L.Add(name="add")([x, y]))
    x = L.MaxPooling2D(name="pool")(x)
    y = L.ELU(name="elu")(L.Activation("gelu", name="gelu")(x))
    x = L.Concatenate(name="both")([L.PReLU(shared_axes=[1, 2], name="prelu")(x), y])
    x = L.UpSampling2D(name="up")(L.AveragePooling2D(2, name="mean")(x))
    x = L.Bidirectional(L.GRU(3, name="gru"), name="bi")(L.Reshape((16, 8), name="rows")(x))
    outputs = L.Dense(3, activation="softmax", name="out")(x)
    return keras.Model(inputs, outputs, name="user")


def job(model: keras.Model, classes: Any, **fields: Any) -> SearchSpec:
    limits = {"by_class": dict.fromkeys(classes, 8)} if isinstance(classes, tuple) else classes
    config = json.loads(model.to_json())
    return SearchSpec.model_validate(
        {"model": {"kind": "architecture", "config": config}, "limits": limits, **fields}
    )


def space(model: keras.Model, classes: Any, **fields: Any) -> Choices:
    return choices(job(model, classes, **fields), read_network(json.loads(model.to_json())))


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    spec = job(user_network(), CLASSES + OUTPUTS)
    plain = network(spec.model)  # type: ignore[arg-type]
    return Drawn(spec, plain, choices(spec, plain))


def test_every_activation_layer_merge_and_pooling_has_a_choice(drawn: Drawn) -> None:
    names = set(drawn.choices.dimensions())
    assert {f"{name}.activation" for name in ("relu6", "leaky", "gelu", "elu", "prelu", "bi")} <= names
    assert {f"{name}.output" for name in ("c2", "add", "both", "pool", "mean", "up")} <= names
    assert "prelu.alpha" in names
    assert "c1.output" not in names  # a ReLU layer reads it
    assert "out.output" not in names


@pytest.mark.parametrize("number", range(3))
def test_a_trial_costs_what_the_built_model_costs(drawn: Drawn, number: int) -> None:
    assert price_differences(drawn, random_assignment(drawn.choices, random.Random(number))) == []


def test_a_shared_program_computes_what_each_model_computes(drawn: Drawn, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype(np.float32)
    assignments = [random_assignment(drawn.choices, random.Random(number)) for number in range(2)]
    candidates: dict[str, dict[str, list[Any]]] = {}
    for slot in drawn.choices.slots:
        for layer in slot.layers:
            specs = [a.quantizers[layer][slot.slot] for a in assignments]
            candidates.setdefault(layer, {})[slot.slot] = list(dict.fromkeys(specs))
    config = drawn.spec.model.config  # type: ignore[union-attr]
    plain = [quantize(config, assignment.quantizers) for assignment in assignments]
    shared: Any = quantize(config, assignments[0].quantizers)
    slots = switch(shared, candidates)
    traced = tf.function(shared)
    for model, assignment in zip(plain, assignments, strict=True):
        transfer_weights(shared, model)
        for (layer, slot), switched in slots.items():
            chosen = choice_of(assignment.quantizers[layer][slot], slot, switched.function)
            switched.choice.assign(switched.index(chosen))
            switched.parameters.assign(chosen.parameters)
        expected = np.asarray(keras.ops.convert_to_numpy(model(x)))
        np.testing.assert_allclose(np.asarray(traced(x)), expected, atol=1e-6)
    plain[0].save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert read_quantizers(loaded) == read_quantizers(plain[0])


def test_activation_layers_and_outputs_run_in_integers() -> None:
    inputs = keras.Input((8, 8, 2), name="in")
    x = L.ReLU(6.0, name="relu6")(L.Conv2D(4, 3, padding="same", name="c1")(inputs))
    y = L.Conv2D(4, 3, padding="same", name="c2")(x)
    x = L.MaxPooling2D(name="pool")(L.LeakyReLU(0.25, name="leaky")(L.Add(name="add")([x, y])))
    x = L.ReLU(name="sign")(x)
    model = keras.Model(inputs, L.Dense(3, name="out")(L.Flatten(name="flat")(x)))
    grid, weights = (
        "quantized_bits(8,2)",
        {"kernel": "quantized_bits(4,0,1,alpha=1.0)", "bias": "quantized_bits(8,3,1)"},
    )
    quantized: Any = quantize(
        model,
        {
            "c1": weights,
            "c2": {**weights, "activation": grid},
            "out": weights,
            "relu6": {"activation": "quantized_bits(6,3,0,keep_negative=0)"},
            **{name: {"activation": grid} for name in ("add", "leaky", "pool")},
            "sign": {"activation": "binary"},
        },
    )
    draw = np.random.default_rng(1)
    quantized.set_weights([draw.uniform(-1, 1, w.shape).astype(np.float32) for w in quantized.get_weights()])
    x = draw.normal(size=(4, 8, 8, 2)).astype(np.float32)
    integers = integer_network(quantized, "quantized_bits(8,2)")
    entered = np.clip(np.round(x * 32), -128, 127) / 32
    expected = np.asarray(keras.ops.convert_to_numpy(quantized(entered.astype(np.float32))))
    np.testing.assert_array_equal(integers.logits(x).to_float(), expected)


# --- which outputs ------------------------------------------------------------------------------------------------


def chain(*layers: Any) -> keras.Model:
    return keras.Sequential([keras.Input((8, 8, 2)), *layers])


def outputs(found: Choices) -> set[str]:
    return {slot.layers[0] for slot in found.slots if slot.field == "output"}


def test_sums_that_a_layer_with_weights_reads_are_quantized_unless_switched_off() -> None:
    model = chain(
        L.Conv2D(2, 3, name="read_by_conv"),
        L.Conv2D(2, 3, name="read_by_relu"),
        L.ReLU(name="r"),
        L.DepthwiseConv2D(3, name="read_by_pointwise"),
        L.Conv2D(2, 1, name="read_past_pooling"),
        L.MaxPooling2D(name="p"),
        L.Flatten(name="f"),
        L.Dense(4, name="end"),
    )
    classes = ("Conv2D", "DepthwiseConv2D", "Dense", "ReLU")
    assert outputs(space(model, classes)) == {"read_by_conv", "read_past_pooling"}
    assert outputs(space(model, classes, quantizers={"output": []})) == set()
    assert outputs(space(model, classes, quantizers={"selection": "autoqkeras"})) == set()


def attending() -> keras.Model:
    inputs = keras.Input((5, 6), name="in")
    x = L.MultiHeadAttention(2, 3, name="attend")(inputs, inputs)
    x = L.Add(name="residual")([x, inputs])
    x = L.MultiHeadAttention(2, 3, name="last")(x, x)
    return keras.Model(inputs, L.Dense(2, name="out")(L.Flatten(name="flat")(L.ReLU(name="r")(x))))


def test_the_sums_of_an_attention_are_quantized_like_those_of_other_linear_layers() -> None:
    classes = ("MultiHeadAttention", "Dense", "ReLU")
    assert outputs(space(attending(), classes)) == {"attend"}  # a function follows the other
    both = {"by_class": {"MultiHeadAttention": {"kernel": 8, "output": 8}}}
    assert outputs(space(attending(), both)) == {"attend", "last"}
    spec = job(attending(), both)
    plain = network(spec.model)  # type: ignore[arg-type]
    drawn = Drawn(spec, plain, choices(spec, plain))
    assert price_differences(drawn, random_assignment(drawn.choices, random.Random(0))) == []


def test_limits_name_the_outputs_of_a_class_or_a_layer() -> None:
    model = chain(
        L.Conv2D(2, 3, name="c"),
        L.ReLU(name="r"),
        L.MaxPooling2D(name="p"),
        L.Flatten(),
        L.Dense(4, name="end"),
    )
    assert outputs(space(model, {"by_class": {"Conv2D": {"kernel": 4, "output": 8}, "MaxPooling2D": 8}})) == {
        "c",
        "p",
    }
    assert outputs(space(model, {"by_class": {"*": {"kernel": 4, "output": 8}}})) == {"c", "p"}
    assert outputs(space(model, {"by_name": {"p": {"output": 8}, "c": 8}})) == {"p"}
    assert outputs(space(model, {"by_name": {".*": 8}})) == set()
    assert outputs(space(model, {"by_name": {"end": {"kernel": 4, "output": 8}}})) == {"end"}
    assert (
        outputs(space(model, {"by_class": {"Dense": {"kernel": 4, "output": 8}}})) == set()
    )  # leaves the network


def test_a_limit_for_everything_leaves_the_largest_of_values_as_it_is() -> None:
    model = chain(
        L.Conv2D(2, 3, name="c"),
        L.MaxPooling2D(name="largest"),
        L.Conv2D(2, 1, name="d", activation="relu"),
        L.AveragePooling2D(2, name="mean"),
        L.GlobalMaxPooling2D(name="of all"),
        L.Dense(4, name="end"),
    )
    assert outputs(space(model, 8)) == {"c", "mean"}


def test_a_narrow_limit_on_activations_leaves_automatic_outputs_their_narrowest_quantizer() -> None:
    model = chain(L.Conv2D(2, 3, name="a"), L.Conv2D(2, 3, name="b"))
    found = space(model, {"by_class": {"Conv2D": [8, 8, 2]}})
    slot = next(slot for slot in found.slots if slot.field == "output")
    assert {spec.bits for spec in slot.candidates} == {4}


def test_softmax_layers_stay_as_they_are() -> None:
    model = chain(L.Flatten(), L.Dense(3, name="d"), L.Softmax(name="s"))
    with pytest.raises(InvalidSpec, match="Softmax"):
        space(model, {"by_class": {"Softmax": 8}})
    assert space(model, ("Dense",)).warnings == ()


# --- what has no effect -------------------------------------------------------------------------------------------


def warnings(limits: dict[str, Any], **fields: Any) -> str:
    model = chain(
        L.Conv2D(2, 3, name="c"),
        L.BatchNormalization(name="n"),
        L.ReLU(name="r"),
        L.Flatten(name="f"),
        L.Dense(3, name="d"),
    )
    return "\n".join(space(model, limits, **fields).warnings)


def test_limits_that_hold_for_no_tensor_are_named() -> None:
    assert "BatchNormalization: recurrent_kernel has no effect" in warnings(
        {"by_class": {"BatchNormalization": {"recurrent_kernel": 8}, "Dense": 8}}, normalization="quantize"
    )
    assert "folded normalizations" in warnings(
        {"by_class": {"BatchNormalization": {"kernel": 8}, "Dense": 8}}
    )
    assert "by_name 'r': kernel has no effect" in warnings({"by_name": {"r": {"kernel": 8, "activation": 4}}})
    assert "has no effect" not in warnings(
        {"by_class": {"Dense": [8, 8, 8], "ReLU": [4], "BatchNormalization": []}}
    )
    assert "has no effect" not in warnings({"by_class": {"Dense": {"kernel": 4, "bias": 8}}})


def test_indexes_of_layers_that_limits_leave_alone_are_named() -> None:
    text = warnings({"by_class": {"Dense": 8}}, layers={"indexes": [1, 4, 5]})
    assert "layers.indexes selects layers that limits do not quantize: c, f" in text
