"""A model is what leads from its inputs to its outputs: other models that its layers were part of count nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from quantization.graph import ModelGraph, NoGraph, input_shape
from quantization.integer import NotInIntegers, integer_network
from quantization.models.calibration import (
    calibrate,
    correct_shift,
    noise_report,
    outputs,
    post_training,
    sensitivity,
)
from quantization.models.convert import quantize
from search.training.warm_start import calibrate as fit_to_quantizers
from tests.truth.integers import KERNELS, SUMMANDS, both, promised

WIDTH = 6
WEIGHTS = {"kernel": "quantized_bits(6,0,1,alpha=1.0)", "bias": "quantized_bits(8,2,1)"}


def _randomized(model: keras.Model) -> keras.Model:
    generator = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(generator.normal(0, 0.4, weight.shape))
    return model


def _body() -> list[Any]:
    return [layers.Dense(5, name="d1"), layers.Activation("relu", name="a1"), layers.Dense(3, name="d2")]


def _sequential() -> keras.Model:
    return keras.Sequential([layers.Input((WIDTH,)), *_body()])


def _new_head() -> keras.Model:
    first = _sequential()
    return keras.Sequential([layers.Input((WIDTH,)), *first.layers[:-1], layers.Dense(2, name="d2")])


def _before_a_new_head() -> keras.Model:
    first = _sequential()
    keras.Sequential([layers.Input((WIDTH,)), *first.layers[:-1], layers.Dense(2, name="other")])
    return first


def _out_of_a_functional() -> keras.Model:
    x = layers.Input((WIDTH,))
    first, function, last = _body()
    base = keras.Model(x, last(function(first(x))))
    return keras.Model(base.input, layers.Dense(2, name="d2")(function.output))


def _called_on_another_input() -> keras.Model:
    first = _out_of_a_functional()
    x = y = layers.Input((WIDTH,))
    for layer in first.layers[1:]:
        y = layer(y)
    return keras.Model(x, y)


def _called_on_another_length_before() -> keras.Model:
    dense, function, last = _body()
    dense(layers.Input((3, WIDTH)))
    function(layers.Input((3, 9, 2)))
    x = layers.Input((WIDTH,))
    return keras.Model(x, last(function(dense(x))))


def _shared() -> keras.Model:
    x = layers.Input((WIDTH,))
    twice, function, last = layers.Dense(WIDTH, name="d1"), layers.Activation("relu", name="a1"), _body()[2]
    return keras.Model(x, last(twice(function(twice(x)))))


MODELS: dict[str, Callable[[], keras.Model]] = {
    "Sequential": _sequential,
    "body of another Sequential": _new_head,
    "reused afterwards": _before_a_new_head,
    "features of a functional model": _out_of_a_functional,
    "layers called on another input": _called_on_another_input,
    "layers called with other shapes before": _called_on_another_length_before,
    "a layer called twice": _shared,
}


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest) -> keras.Model:
    """A float model of the layers d1, a1 and d2, with random weights."""
    return _randomized(MODELS[request.param]())


def _sample() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(32, WIDTH)).astype(np.float32)


def test_every_tool_reads_the_graph_of_the_model_itself(model: keras.Model) -> None:
    x = _sample()
    assignment = calibrate(model, x, activation_bits=8)
    assert set(assignment) == {"d1", "a1", "d2"}
    quantized = post_training(model, assignment, x)
    np.testing.assert_allclose(quantized(x), model(x), atol=0.1)
    assert [noise.layer for noise in noise_report(model, quantized, x)] == ["d1", "a1", "d2"]
    assert set(sensitivity(model, assignment, x)) == {"d1", "a1", "d2"}
    if len(ModelGraph(quantized).calls_of("d1")) == 1:  # no search has a shared layer
        fit_to_quantizers(quantized, x)
    network = integer_network(quantized, "quantized_bits(8,2)")
    exact = network.encode(x).to_float()
    np.testing.assert_array_equal(network.logits(x).to_float().astype(np.float32), quantized(exact))


def test_a_loaded_sequential_runs_in_integers(tmp_path: Path) -> None:
    quantized = quantize(_sequential(), {"d1": WEIGHTS, "d2": WEIGHTS})
    quantized.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = _sample()
    expected = integer_network(quantized, "quantized_bits(8,2)").logits(x).to_float()
    np.testing.assert_array_equal(
        integer_network(loaded, "quantized_bits(8,2)").logits(x).to_float(), expected
    )


def test_each_call_of_a_shared_layer_has_a_name_and_an_output() -> None:
    graph = ModelGraph(_shared())
    assert [call.name for call in graph][1:] == ["d1", "a1", "d1#2", "d2"]
    assert graph.call("d1#2").sources == ("a1",)
    assert outputs(_shared(), ["d1"], _sample())["d1"].shape == (64, WIDTH)


def test_shapes_are_those_of_this_model() -> None:
    model = _called_on_another_length_before()
    assert input_shape(model, "a1") == (None, 5)
    assert input_shape(model, model.get_layer("d1")) == (None, WIDTH)


def test_a_model_without_inputs_says_what_is_missing() -> None:
    model = keras.Sequential([layers.Dense(3)])
    with pytest.raises(NoGraph, match=r"keras\.Input"):
        ModelGraph(model)
    with pytest.raises(NotInIntegers, match=r"keras\.Input"):
        integer_network(model, "quantized_bits(8,2)")


def test_an_operator_has_no_integer_form() -> None:
    x = layers.Input((WIDTH,))
    with pytest.raises(NotInIntegers, match="no integer form"):
        integer_network(keras.Model(x, x + 1.0), "quantized_bits(8,2)")


def test_samples_of_several_inputs_are_lists_or_dicts() -> None:
    a, b = layers.Input((WIDTH,), name="a"), layers.Input((WIDTH,), name="b")
    model = _randomized(keras.Model([a, b], layers.Dense(2, name="d")(layers.Add()([a, b]))))
    x, y = _sample(), _sample()[::-1]
    assignment = calibrate(model, [x, y])
    quantized = post_training(model, assignment, {"a": x, "b": y})
    correct_shift(model, quantized, "d", [x, y])
    np.testing.assert_allclose(
        outputs(quantized, ["d"], [x, y])["d"].mean(axis=0), np.asarray(model([x, y])).mean(axis=0), atol=0.01
    )


def test_a_sample_without_rows_is_an_error() -> None:
    with pytest.raises(ValueError, match="no examples"):
        calibrate(_sequential(), _sample()[:0])


def test_most_layers_of_random_networks_are_promised_to_be_equal() -> None:
    equal = calls = 0
    for number in range(6):
        model, network = both(number)
        x = np.random.default_rng(number).normal(0, 1, (2, *model.inputs[0].shape[1:]))
        equal += len(promised(network, network.accumulator_bits(x)))
        calls += len(network.layers)
    assert equal > calls / 2


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("groups", [1, 2])
def test_every_kernel_runs_in_integers_grouped_or_not(kernel: str, groups: int) -> None:
    x = layers.Input((5, 4))
    model = quantize(
        keras.Model(x, layers.Conv1D(4, 2, groups=groups, name="c")(x)),
        {"c": {"kernel": kernel, "bias": SUMMANDS[0]}},
    )
    network = integer_network(_randomized(model), "quantized_bits(5,1)")
    images = np.random.default_rng(2).normal(size=(3, 5, 4))
    exact = network.encode(images).to_float()
    np.testing.assert_array_equal(network.logits(images).to_float().astype(np.float32), model(exact))
