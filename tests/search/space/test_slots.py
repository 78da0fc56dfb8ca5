"""The search's plain view of a layer's tensors is the quantized layer's own."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import keras
import pytest

from costmodel.layer_classes import SEARCHED_LAYERS
from costmodel.network import read_network
from quantization.layers import QUANTIZED_LAYERS
from quantization.models.convert import quantize, read_quantizers
from quantization.specs.slots import searched_slots
from search.space.choices import Choices, choices
from search.spec.job import SearchSpec

L = keras.layers

#: Class -> (input shape, makes a layer of it).
LAYERS: dict[str, tuple[tuple[int, ...], Callable[[], Any]]] = {
    "Activation": ((6,), lambda: L.Activation("relu", name="x")),
    "BatchNormalization": ((6,), lambda: L.BatchNormalization(name="x")),
    "Bidirectional": ((5, 3), lambda: L.Bidirectional(L.GRU(4), name="x")),
    "Conv1D": ((8, 3), lambda: L.Conv1D(4, 3, activation="relu", name="x")),
    "Conv1DTranspose": ((8, 3), lambda: L.Conv1DTranspose(4, 3, name="x")),
    "Conv2D": ((8, 8, 2), lambda: L.Conv2D(4, 3, use_bias=False, name="x")),
    "Conv2DTranspose": ((8, 8, 2), lambda: L.Conv2DTranspose(4, 3, activation="relu", name="x")),
    "Dense": ((6,), lambda: L.Dense(4, activation="relu", name="x")),
    "DepthwiseConv1D": ((8, 3), lambda: L.DepthwiseConv1D(3, name="x")),
    "DepthwiseConv2D": ((8, 8, 2), lambda: L.DepthwiseConv2D(3, use_bias=False, name="x")),
    "ELU": ((6,), lambda: L.ELU(name="x")),
    "Embedding": ((5,), lambda: L.Embedding(10, 4, name="x")),
    "GRU": ((5, 3), lambda: L.GRU(4, name="x")),
    "LSTM": ((5, 3), lambda: L.LSTM(4, name="x")),
    "LeakyReLU": ((6,), lambda: L.LeakyReLU(name="x")),
    "MultiHeadAttention": ((5, 6), lambda: L.MultiHeadAttention(2, 3, name="x")),
    "PReLU": ((6,), lambda: L.PReLU(name="x")),
    "ReLU": ((6,), lambda: L.ReLU(6.0, name="x")),
    "SeparableConv1D": ((8, 3), lambda: L.SeparableConv1D(4, 3, name="x")),
    "SeparableConv2D": ((8, 8, 2), lambda: L.SeparableConv2D(4, 3, activation="relu", name="x")),
    "SimpleRNN": ((5, 3), lambda: L.SimpleRNN(4, name="x")),
}


def model_of(class_name: str) -> keras.Model:
    shape, make = LAYERS[class_name]
    inputs = keras.Input(shape, name="input")
    attends = class_name == "MultiHeadAttention"
    return keras.Model(inputs, make()(inputs, inputs) if attends else make()(inputs))


def space_of(model: keras.Model, class_name: str, **quantizers: Any) -> Choices:
    spec = {"model": "digits_cnn", "limits": {"by_class": {class_name: 8}}, "quantizers": quantizers}
    return choices(SearchSpec.model_validate(spec), read_network(model.get_config()))


def test_every_quantizable_class_is_tried() -> None:
    assert set(LAYERS) == set(SEARCHED_LAYERS)


@pytest.mark.parametrize("class_name", LAYERS)
def test_the_search_knows_the_slots_that_the_layer_has(class_name: str) -> None:
    model = model_of(class_name)
    layer = quantize(model, {"x": {}}).get_layer("x")
    assert isinstance(layer, QUANTIZED_LAYERS[class_name])
    searched = {slot for slot, _ in searched_slots(read_network(model.get_config()).layer("x"))}
    # a layer can also quantize its linear output, and BatchNormalization gamma and variance; a search chooses `inverse`
    beyond = {"gamma", "variance"}
    if class_name == "MultiHeadAttention":
        beyond = {"kernel", "bias", "activation"}  # what all projections share, and the output
    linear = model.get_layer("x").get_config().get("activation") == "linear"
    assert searched == set(layer.slots) - beyond - ({"activation"} if linear else set())


@pytest.mark.parametrize("class_name", LAYERS)
def test_what_is_sampled_is_what_is_built(class_name: str) -> None:
    model = model_of(class_name)
    space = space_of(model, class_name, state={"quantized_bits(8,0,1)": 8})
    draw = random.Random(class_name)
    for _ in range(3):
        values = {name: draw.choice(labels) for name, labels in space.dimensions().items()}
        assigned = space.assignment(values).quantizers["x"]
        built = read_quantizers(quantize(model, {"x": assigned}))["x"]
        assert {slot: spec for slot, spec in built.items() if spec is not None} == dict(assigned)


def test_recurrent_activations_are_never_random() -> None:
    space = space_of(model_of("LSTM"), "LSTM", activation=["stochastic_ternary", "quantized_tanh(4)"])
    assert [str(label) for label in space.dimensions()["x.activation"]] == ["quantized_tanh(4)"]


def test_kernels_of_other_kinds_follow_the_kernel() -> None:
    space = space_of(model_of("SeparableConv2D"), "SeparableConv2D", kernel=["binary", "ternary"])
    assert space.dimensions()["x.kernel"] == space.dimensions()["x.pointwise_kernel"]


def test_kernels_of_other_kinds_may_have_candidates_of_their_own() -> None:
    space = space_of(model_of("LSTM"), "LSTM", recurrent_kernel=["quantized_bits(8,0,1)"])
    assert len(space.dimensions()["x.recurrent_kernel"]) == 1
    assert len(space.dimensions()["x.kernel"]) == 8


def test_states_stay_as_they_are_unless_candidates_are_given() -> None:
    assert "x.state" not in space_of(model_of("GRU"), "GRU").dimensions()


def test_lists_of_four_limit_recurrent_and_pointwise_kernels() -> None:
    model = model_of("LSTM")
    spec = SearchSpec.model_validate({"model": "digits_cnn", "limits": {"by_class": {"LSTM": [8, 8, 1, 8]}}})
    space = choices(spec, read_network(model.get_config()))
    assert len(space.dimensions()["x.recurrent_kernel"]) == 2
    assert len(space.dimensions()["x.kernel"]) == 8
