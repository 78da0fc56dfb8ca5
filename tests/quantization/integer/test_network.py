"""Quantized networks in integers only: the same activations and decisions as the Keras model."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers, ops

from quantization.integer import IntegerNetwork, IntegerOverflow, NotInIntegers, integer_network
from quantization.integer.activations import encode_floats, integer_quantizer
from quantization.integer.tensor import IntegerTensor, dyadic, half_even
from quantization.models.convert import quantize
from quantization.models.fold import fold
from quantization.quantizers import build_quantizer
from quantization.specs.parse import parse_quantizer
from search.data.digits import read_digits
from search.data.files import DataFault

_WEIGHTS = {"kernel": "quantized_bits(4,0,1)", "bias": "quantized_bits(8,3)"}
_PIXELS = "quantized_relu(5,1)"  #: 0 to 16 sixteenths, exactly
_RELU = "quantized_relu(4,2)"


def _input(*shape: int) -> Any:
    return layers.Input(shape, name="image")


def _images(count: int = 16, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 17, (count, *shape)).astype(np.float32) / 16


def _randomized(model: keras.Model, seed: int = 1) -> keras.Model:
    """The model with other biases and statistics than the zeros and ones it starts with."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("bias", "beta", "moving_mean"):
            weight.assign(random.normal(0, 0.3, weight.shape))
        elif weight.name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.4, 1.8, weight.shape))
    return model


def _check_bit_exact(
    model: keras.Model, x: np.ndarray, input_quantizer: str | None = _PIXELS
) -> IntegerNetwork:
    """Every layer's output equals the Keras model's."""
    network = integer_network(model, input_quantizer)
    trace = network.trace(x)
    inner = keras.Model(model.inputs[0], [layer.output for layer in model.layers])
    outputs = inner(x)
    for layer, output in zip(model.layers, outputs, strict=True):
        np.testing.assert_array_equal(
            trace[layer.name].to_float().astype(np.float32), ops.convert_to_numpy(output), err_msg=layer.name
        )
    return network


def _quantized(x: Any, y: Any, assignment: dict[str, dict[str, str]]) -> keras.Model:
    specs = {
        name: {slot: parse_quantizer(text) for slot, text in slots.items()}
        for name, slots in assignment.items()
    }
    return _randomized(quantize(keras.Model(x, y), specs))


_SHAPES = {
    "Conv2D": lambda: layers.Conv2D(5, 3, strides=2, padding="same", name="tested"),
    "Conv2D, valid": lambda: layers.Conv2D(5, (3, 2), name="tested"),
    "Conv2D, dilated": lambda: layers.Conv2D(4, 2, dilation_rate=2, padding="same", name="tested"),
    "Conv2D, no bias": lambda: layers.Conv2D(4, 3, use_bias=False, name="tested"),
    "DepthwiseConv2D": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="tested"),
    "SeparableConv2D": lambda: layers.SeparableConv2D(4, 3, strides=2, name="tested"),
    "Dense": lambda: layers.Dense(7, name="tested"),
}


class TestLayers:
    @pytest.mark.parametrize("name", list(_SHAPES))
    @pytest.mark.parametrize(
        "kernel", ["quantized_bits(4,0,1)", "quantized_bits(6,2,alpha=1.0)", "binary()", "ternary()"]
    )
    def test_products_are_exact(self, name: str, kernel: str) -> None:
        layer = _SHAPES[name]()
        x = _input(7, 6, 3)
        slots = {"kernel": kernel} | ({"bias": "quantized_bits(8,3)"} if layer.use_bias else {})
        if name.startswith("Sep"):
            slots["pointwise_kernel"] = kernel
        y = layers.Activation("relu", name="relu")(layer(x))
        model = _quantized(x, y, {"tested": slots, "relu": {"activation": _RELU}})
        network = _check_bit_exact(model, _images(4, 7, 6, 3))
        assert network.inexact_layers == ()

    @pytest.mark.parametrize(
        "make",
        [
            lambda: layers.MaxPooling2D(2),
            lambda: layers.MaxPooling2D(3, strides=2, padding="same"),
            lambda: layers.AveragePooling2D(2),
            lambda: layers.GlobalMaxPooling2D(),
            lambda: layers.GlobalMaxPooling2D(keepdims=True),
            lambda: layers.Flatten(),
            lambda: layers.Reshape((12, 8)),
            lambda: layers.ZeroPadding2D(((1, 2), (0, 1))),
            lambda: layers.Dropout(0.5),
            lambda: layers.ReLU(),
        ],
    )
    def test_layers_without_weights_are_exact(self, make: Any) -> None:
        x = _input(8, 4, 3)
        _check_bit_exact(keras.Model(x, make()(x)), _images(4, 8, 4, 3))

    @pytest.mark.parametrize(
        "merge",
        [layers.Add, layers.Subtract, layers.Multiply, layers.Maximum, layers.Minimum, layers.Concatenate],
    )
    def test_branches_on_different_grids_meet_exactly(self, merge: Any) -> None:
        x = _input(4, 4, 2)
        fine, coarse = layers.Activation("relu", name="fine")(x), layers.Activation("relu", name="coarse")(x)
        model = _quantized(
            x,
            merge(name="merged")([fine, coarse]),
            {"fine": {"activation": "quantized_relu(6,1)"}, "coarse": {"activation": "quantized_relu(2,1)"}},
        )
        _check_bit_exact(model, _images(4, 4, 4, 2))

    def test_one_dimensional_layers_are_exact(self) -> None:
        x = _input(12, 3)
        y = layers.Conv1D(4, 3, padding="causal", dilation_rate=2, name="conv")(x)
        y = layers.Activation("relu", name="relu")(y)
        y = layers.GlobalAveragePooling1D()(layers.AveragePooling1D(3)(layers.MaxPooling1D(1)(y)))
        model = _quantized(x, y, {"conv": _WEIGHTS, "relu": {"activation": _RELU}})
        images = _images(4, 12, 3)
        network = integer_network(model, _PIXELS)
        np.testing.assert_allclose(
            network.logits(images).to_float(), ops.convert_to_numpy(model(images)), rtol=1e-6
        )

    def test_an_average_of_no_power_of_two_is_rounded_and_says_so(self) -> None:
        x = _input(3, 3, 2)
        model = keras.Model(x, layers.GlobalAveragePooling2D(name="mean")(x))
        images = _images(4, 3, 3, 2)
        network = integer_network(model, _PIXELS)
        assert network.inexact_layers == ("mean",)
        np.testing.assert_allclose(
            network.logits(images).to_float(), ops.convert_to_numpy(model(images)), rtol=1e-6
        )

    def test_a_float_batch_normalization_becomes_a_multiplication_and_says_so(self) -> None:
        x = _input(4, 4, 3)
        model = _randomized(keras.Model(x, layers.BatchNormalization(name="norm")(x)))
        images = _images(4, 4, 4, 3)
        network = integer_network(model, _PIXELS)
        assert network.inexact_layers == ("norm",)
        np.testing.assert_allclose(
            network.logits(images).to_float(), ops.convert_to_numpy(model(images)), rtol=1e-5, atol=1e-6
        )

    def test_a_quantized_batch_normalization_is_exact(self) -> None:
        x = _input(4, 4, 3)
        slots = {
            "inverse": "quantized_bits(6,2,alpha=1.0)",
            "mean": "quantized_bits(6,2)",
            "beta": "quantized_bits(6,2)",
        }
        model = _quantized(x, layers.BatchNormalization(name="norm")(x), {"norm": slots})
        assert _check_bit_exact(model, _images(4, 4, 4, 3)).inexact_layers == ()

    @pytest.mark.parametrize(
        "make",
        [
            lambda: layers.Conv2D(4, 3, name="tested"),
            lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="tested"),
            lambda: layers.Dense(5, use_bias=False, name="tested"),
        ],
    )
    def test_a_folded_batch_normalization_is_exact(self, make: Any) -> None:
        x = _input(5, 5, 3)
        y = layers.BatchNormalization(name="norm")(make()(x))
        folded = fold(_randomized(keras.Model(x, layers.Activation("relu", name="relu")(y))))
        specs = {"tested": _WEIGHTS, "relu": {"activation": _RELU}}
        model = quantize(
            folded, {k: {slot: parse_quantizer(text) for slot, text in v.items()} for k, v in specs.items()}
        )
        model.set_weights(folded.get_weights())
        assert _check_bit_exact(model, _images(4, 5, 5, 3)).inexact_layers == ()

    def test_quantized_outputs_of_poolings_and_merges_are_exact(self) -> None:
        x = _input(6, 6, 2)
        pooled = layers.AveragePooling2D(3, name="pool")(x)
        y = layers.Average(name="mean")([pooled, pooled])
        slots = {"average": "quantized_bits(6,0,alpha=1.0)", "activation": "quantized_bits(6,1)"}
        model = _quantized(x, y, {"pool": slots, "mean": {"activation": "quantized_bits(3,1)"}})
        assert _check_bit_exact(model, _images(4, 6, 6, 2)).inexact_layers == ()

    def test_scales_that_are_no_powers_of_two_are_integers_all_the_same(self) -> None:
        x = _input(6)
        model = _quantized(
            x, layers.Dense(4, name="dense")(x), {"dense": _WEIGHTS | {"kernel": "max_per_axis(4)"}}
        )
        images = _images(8, 6)
        logits = integer_network(model, _PIXELS).logits(images).to_float()
        np.testing.assert_allclose(logits, ops.convert_to_numpy(model(images)), rtol=1e-6, atol=1e-7)

    def test_a_softmax_before_a_flatten_is_left_out_too(self) -> None:
        x = _input(1, 1, 5)
        y = layers.Flatten(name="flat")(layers.Activation("softmax", name="softmax")(x))
        images = _images(4, 1, 1, 5)
        network = integer_network(keras.Model(x, y), _PIXELS)
        np.testing.assert_array_equal(network.logits(images).to_float(), images.reshape(4, 5))

    def test_a_softmax_at_each_of_several_places_is_not_left_out(self) -> None:
        x = _input(2, 1, 5)
        y = layers.Flatten(name="flat")(layers.Activation("softmax", name="softmax")(x))
        with pytest.raises(NotInIntegers, match="softmax"):
            integer_network(keras.Model(x, y), _PIXELS)

    def test_a_sequential_model_runs(self) -> None:
        model = keras.Sequential([_input(4, 4, 1), layers.Flatten(), layers.Activation("relu")])
        np.testing.assert_array_equal(
            integer_network(model, _PIXELS).logits(_images(2, 4, 4, 1)).codes.shape, (2, 16)
        )


_ACTIVATIONS = [
    "quantized_bits(4,1)",
    "quantized_bits(4,1,1,alpha=0.5)",
    "quantized_bits(5,2,keep_negative=False)",
    "quantized_bits(1,0)",
    "quantized_linear(4,1)",
    "quantized_linear(4,1,symmetric=False,alpha=2.0)",
    "quantized_linear(1,1)",
    "quantized_relu(4,1)",
    "quantized_relu(4,1,negative_slope=0.25)",
    "quantized_relu(4,1,use_sigmoid=True)",
    "quantized_relu(6,3,relu_upper_bound=6.0,is_quantized_clip=False)",
    "quantized_tanh(4)",
    "quantized_tanh(4,symmetric=True)",
    "quantized_sigmoid(4)",
    "quantized_sigmoid(3,symmetric=True)",
    "binary()",
    "binary(use_01=True,alpha=0.5)",
]


#: These add a half in float32 first, so that a tiny input is lost; integers do not lose it.
_ROUNDED_TWICE = [text for text in _ACTIVATIONS if "sigmoid" in text or text == "quantized_linear(1,1)"]


class TestActivations:
    @pytest.mark.parametrize("text", _ACTIVATIONS)
    @given(codes=st.lists(st.integers(-(2**13), 2**13), min_size=1, max_size=8), exponent=st.integers(-12, 3))
    @settings(max_examples=40, deadline=None)
    def test_integers_give_what_the_float_quantizer_gives(
        self, text: str, codes: list[int], exponent: int
    ) -> None:
        spec = parse_quantizer(text)
        x = IntegerTensor(np.array(codes), np.array(exponent))
        actual = integer_quantizer(spec, "layer")(x).to_float()
        expected = build_quantizer(spec)(x.to_float().astype(np.float32))
        np.testing.assert_array_equal(actual.astype(np.float32), ops.convert_to_numpy(expected))

    @pytest.mark.parametrize("text", [text for text in _ACTIVATIONS if text not in _ROUNDED_TWICE])
    @given(x=st.lists(st.floats(-40, 40, width=32, allow_subnormal=False), min_size=1, max_size=8))
    @settings(max_examples=40, deadline=None)
    def test_floats_enter_as_the_float_quantizer_has_them(self, text: str, x: list[float]) -> None:
        spec = parse_quantizer(text)
        actual = encode_floats(spec, x, "layer").to_float()
        expected = build_quantizer(spec)(np.array(x, np.float32))
        np.testing.assert_array_equal(actual.astype(np.float32), ops.convert_to_numpy(expected))

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("quantized_po2(4)", "supported are"),
            ("quantized_bits(4,0,alpha='auto')", "depends on the data"),
            ("quantized_linear(4,0,alpha=0.3)", "power of two"),
            ("quantized_tanh(4,use_real_tanh=True)", "hyperbolic"),
            ("quantized_sigmoid(4,use_real_sigmoid=True)", "the exact sigmoid"),
        ],
    )
    def test_what_is_not_fixed_point_is_refused_by_layer(self, text: str, reason: str) -> None:
        with pytest.raises(NotInIntegers, match=f"'act'.*{reason}"):
            integer_quantizer(parse_quantizer(text), "act")


class TestArithmetic:
    @settings(deadline=None)
    @given(st.integers(-(2**60), 2**60), st.integers(0, 62))
    def test_halves_are_rounded_to_even(self, code: int, places: int) -> None:
        from fractions import Fraction

        assert int(half_even(np.array(code), np.array(places))) == round(Fraction(code, 2**places))

    @settings(deadline=None)
    @given(st.integers(-127, 127), st.floats(2.0**-20, 1024, width=32))
    def test_every_float_scale_is_an_integer_times_a_power_of_two(self, code: int, scale: float) -> None:
        tensor = dyadic(code, np.float32(scale))
        assert math.ldexp(int(tensor.codes), int(tensor.exponent)) == code * scale

    def test_a_power_of_two_leaves_the_codes_as_they_are(self) -> None:
        codes = np.array([[3, -7], [1, 0]])
        tensor = dyadic(codes, np.array([0.25, 2.0], np.float32))
        np.testing.assert_array_equal(tensor.codes, codes)
        np.testing.assert_array_equal(tensor.exponent, [-2, 1])

    def test_an_accumulator_that_overflows_names_the_layer(self) -> None:
        x = _input(4)
        y = x
        for index in range(4):
            y = layers.Multiply(name=f"square{index}")([y, y])
        network = integer_network(keras.Model(x, y), "quantized_bits(16,0)")
        with pytest.raises(IntegerOverflow, match="square2"):
            network.trace(np.full((1, 4), 0.99))


def _dense_after(layer: Any, **slots: str) -> keras.Model:
    x = _input(4)
    return _quantized(x, layers.Dense(2, name="dense")(layer(x)), {"dense": slots})


class TestRefusals:
    @pytest.mark.parametrize(
        ("make", "layer", "reason"),
        [
            (
                lambda: _dense_after(layers.Flatten(), bias="quantized_bits(8,3)"),
                "dense",
                "kernel is not quantized",
            ),
            (lambda: _dense_after(layers.Flatten(), kernel="binary()"), "dense", "bias is not quantized"),
            (lambda: _dense_after(layers.Activation("tanh", name="act"), **_WEIGHTS), "act", "'tanh'"),
            (lambda: _dense_after(layers.Softmax(name="soft"), **_WEIGHTS), "soft", "no integer form"),
            (
                lambda: _dense_after(layers.Activation("softmax", name="act"), **_WEIGHTS),
                "act",
                "output's softmax",
            ),
            (lambda: _dense_after(layers.ReLU(6.0, name="six"), **_WEIGHTS), "six", "plain ReLU"),
        ],
    )
    def test_the_layer_is_named(self, make: Any, layer: str, reason: str) -> None:
        with pytest.raises(NotInIntegers, match=reason) as caught:
            integer_network(make(), _PIXELS)
        assert caught.value.layer == layer

    def test_float_inputs_need_a_quantizer(self) -> None:
        with pytest.raises(NotInIntegers, match="input_quantizer"):
            integer_network(_dense_after(layers.Flatten(), **_WEIGHTS))


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    try:
        images, labels = read_digits()
    except DataFault as fault:
        pytest.skip(str(fault))
    return images[..., np.newaxis].astype(np.float32) / 16, labels


@pytest.fixture(scope="module")
def trained(digits: tuple[np.ndarray, np.ndarray]) -> keras.Model:
    """A small convolutional net at 4 bits, trained on the first 1,200 digits."""
    keras.utils.set_random_seed(3)
    x = _input(8, 8, 1)
    y = layers.Activation("relu", name="pixels")(x)
    y = layers.Conv2D(8, 3, name="conv")(y)
    y = layers.Activation("relu", name="conv_relu")(y)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y)
    y = layers.Activation("relu", name="depthwise_relu")(y)
    y = layers.Flatten(name="flat")(layers.MaxPooling2D(2, name="pool")(y))
    y = layers.Dense(10, activation="softmax", name="head")(y)
    specs: dict[str, dict[str, str]] = dict.fromkeys(("conv", "depthwise", "head"), _WEIGHTS)
    specs |= {"pixels": {"activation": _PIXELS}}
    specs |= {name: {"activation": _RELU} for name in ("conv_relu", "depthwise_relu")}
    model = quantize(
        keras.Model(x, y),
        {name: {slot: parse_quantizer(t) for slot, t in slots.items()} for name, slots in specs.items()},
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    images, labels = digits
    model.optimizer.learning_rate = 0.01
    model.fit(images[:1200], labels[:1200], epochs=4, batch_size=64, verbose=0)
    return model


class TestDigits:
    def test_integers_decide_as_the_keras_model_on_every_test_image(
        self, trained: keras.Model, digits: tuple[np.ndarray, np.ndarray]
    ) -> None:
        images, labels = digits[0][1200:], digits[1][1200:]
        expected = ops.convert_to_numpy(trained(images)).argmax(axis=-1)
        assert (expected == labels).mean() > 0.7
        np.testing.assert_array_equal(integer_network(trained).classes(images), expected)

    def test_activations_are_bit_exact(
        self, trained: keras.Model, digits: tuple[np.ndarray, np.ndarray]
    ) -> None:
        network = integer_network(trained)
        assert network.inexact_layers == ()
        images = digits[0][1200:]
        trace = network.trace(images)
        for name in ("pixels", "conv", "conv_relu", "depthwise", "depthwise_relu", "pool", "flat"):
            output = keras.Model(trained.inputs[0], trained.get_layer(name).output)(images)
            np.testing.assert_array_equal(trace[name].to_float(), ops.convert_to_numpy(output), err_msg=name)

    def test_four_bits_are_four_bits(
        self, trained: keras.Model, digits: tuple[np.ndarray, np.ndarray]
    ) -> None:
        trace = integer_network(trained).trace(digits[0])
        assert trace["conv_relu"].bits == 4
        assert trace["depthwise_relu"].bits <= 4
        assert all(
            np.abs(codes).max() <= 7 for layer in ("conv", "head") for codes in [_kernel(trained, layer)]
        )

    def test_nothing_but_integers_is_computed_with(
        self, trained: keras.Model, digits: tuple[np.ndarray, np.ndarray]
    ) -> None:
        for tensor in integer_network(trained).trace(digits[0][:8]).values():
            assert tensor.codes.dtype == tensor.exponent.dtype == np.int64


def _kernel(model: keras.Model, name: str) -> np.ndarray:
    return np.asarray(model.get_layer(name).quantized_weights()["kernel"][0])
