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

from quantization.integer import IntegerOverflow, NotInIntegers, integer_network
from quantization.integer.activations import encode_floats, integer_quantizer
from quantization.integer.tensor import IntegerTensor, dyadic, half_even
from quantization.models.convert import quantize
from quantization.models.fold import fold
from quantization.quantizers import build_quantizer
from quantization.specs.parse import parse_quantizer
from tests.quantization.integer.networks import (
    PIXELS,
    RELU,
    WEIGHTS,
    check_bit_exact,
    inputs,
    quantized_model,
    random_images,
    randomized,
)

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
        x = inputs(7, 6, 3)
        slots = {"kernel": kernel} | ({"bias": "quantized_bits(8,3)"} if layer.use_bias else {})
        if name.startswith("Sep"):
            slots["pointwise_kernel"] = kernel
        y = layers.Activation("relu", name="relu")(layer(x))
        model = quantized_model(x, y, {"tested": slots, "relu": {"activation": RELU}})
        network = check_bit_exact(model, random_images(4, 7, 6, 3))
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
        x = inputs(8, 4, 3)
        check_bit_exact(keras.Model(x, make()(x)), random_images(4, 8, 4, 3))

    @pytest.mark.parametrize(
        "merge",
        [layers.Add, layers.Subtract, layers.Multiply, layers.Maximum, layers.Minimum, layers.Concatenate],
    )
    def test_branches_on_different_grids_meet_exactly(self, merge: Any) -> None:
        x = inputs(4, 4, 2)
        fine, coarse = layers.Activation("relu", name="fine")(x), layers.Activation("relu", name="coarse")(x)
        model = quantized_model(
            x,
            merge(name="merged")([fine, coarse]),
            {"fine": {"activation": "quantized_relu(6,1)"}, "coarse": {"activation": "quantized_relu(2,1)"}},
        )
        check_bit_exact(model, random_images(4, 4, 4, 2))

    def test_one_dimensional_layers_are_exact(self) -> None:
        x = inputs(12, 3)
        y = layers.Conv1D(4, 3, padding="causal", dilation_rate=2, name="conv")(x)
        y = layers.Activation("relu", name="relu")(y)
        y = layers.GlobalAveragePooling1D()(layers.AveragePooling1D(3)(layers.MaxPooling1D(1)(y)))
        model = quantized_model(x, y, {"conv": WEIGHTS, "relu": {"activation": RELU}})
        images = random_images(4, 12, 3)
        network = integer_network(model, PIXELS)
        np.testing.assert_allclose(
            network.logits(images).to_float(), ops.convert_to_numpy(model(images)), rtol=1e-6
        )

    def test_an_average_of_no_power_of_two_is_rounded_and_says_so(self) -> None:
        x = inputs(3, 3, 2)
        model = keras.Model(x, layers.GlobalAveragePooling2D(name="mean")(x))
        images = random_images(4, 3, 3, 2)
        network = integer_network(model, PIXELS)
        assert network.inexact_layers == ("mean",)
        np.testing.assert_allclose(
            network.logits(images).to_float(), ops.convert_to_numpy(model(images)), rtol=1e-6
        )

    def test_a_float_batch_normalization_becomes_a_multiplication_and_says_so(self) -> None:
        x = inputs(4, 4, 3)
        model = randomized(keras.Model(x, layers.BatchNormalization(name="norm")(x)))
        images = random_images(4, 4, 4, 3)
        network = integer_network(model, PIXELS)
        assert network.inexact_layers == ("norm",)
        np.testing.assert_allclose(
            network.logits(images).to_float(), ops.convert_to_numpy(model(images)), rtol=1e-5, atol=1e-6
        )

    def test_a_quantized_batch_normalization_is_exact(self) -> None:
        x = inputs(4, 4, 3)
        slots = {
            "inverse": "quantized_bits(6,2,alpha=1.0)",
            "mean": "quantized_bits(6,2)",
            "beta": "quantized_bits(6,2)",
        }
        model = quantized_model(x, layers.BatchNormalization(name="norm")(x), {"norm": slots})
        assert check_bit_exact(model, random_images(4, 4, 4, 3)).inexact_layers == ()

    @pytest.mark.parametrize(
        "make",
        [
            lambda: layers.Conv2D(4, 3, name="tested"),
            lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="tested"),
            lambda: layers.Dense(5, use_bias=False, name="tested"),
        ],
    )
    def test_a_folded_batch_normalization_is_exact(self, make: Any) -> None:
        x = inputs(5, 5, 3)
        y = layers.BatchNormalization(name="norm")(make()(x))
        folded = fold(randomized(keras.Model(x, layers.Activation("relu", name="relu")(y))))
        specs = {"tested": WEIGHTS, "relu": {"activation": RELU}}
        model = quantize(
            folded, {k: {slot: parse_quantizer(text) for slot, text in v.items()} for k, v in specs.items()}
        )
        model.set_weights(folded.get_weights())
        assert check_bit_exact(model, random_images(4, 5, 5, 3)).inexact_layers == ()

    def test_quantized_outputs_of_poolings_and_merges_are_exact(self) -> None:
        x = inputs(6, 6, 2)
        pooled = layers.AveragePooling2D(3, name="pool")(x)
        y = layers.Average(name="mean")([pooled, pooled])
        slots = {"average": "quantized_bits(6,0,alpha=1.0)", "activation": "quantized_bits(6,1)"}
        model = quantized_model(x, y, {"pool": slots, "mean": {"activation": "quantized_bits(3,1)"}})
        assert check_bit_exact(model, random_images(4, 6, 6, 2)).inexact_layers == ()

    def test_scales_that_are_no_powers_of_two_are_integers_all_the_same(self) -> None:
        x = inputs(6)
        model = quantized_model(
            x, layers.Dense(4, name="dense")(x), {"dense": WEIGHTS | {"kernel": "max_per_axis(4)"}}
        )
        images = random_images(8, 6)
        logits = integer_network(model, PIXELS).logits(images).to_float()
        np.testing.assert_allclose(logits, ops.convert_to_numpy(model(images)), rtol=1e-6, atol=1e-7)

    def test_a_softmax_before_a_flatten_is_left_out_too(self) -> None:
        x = inputs(1, 1, 5)
        y = layers.Flatten(name="flat")(layers.Activation("softmax", name="softmax")(x))
        images = random_images(4, 1, 1, 5)
        network = integer_network(keras.Model(x, y), PIXELS)
        np.testing.assert_array_equal(network.logits(images).to_float(), images.reshape(4, 5))

    def test_a_softmax_at_each_of_several_places_is_not_left_out(self) -> None:
        x = inputs(2, 1, 5)
        y = layers.Flatten(name="flat")(layers.Activation("softmax", name="softmax")(x))
        with pytest.raises(NotInIntegers, match="softmax"):
            integer_network(keras.Model(x, y), PIXELS)

    def test_a_sequential_model_runs(self) -> None:
        model = keras.Sequential([inputs(4, 4, 1), layers.Flatten(), layers.Activation("relu")])
        np.testing.assert_array_equal(
            integer_network(model, PIXELS).logits(random_images(2, 4, 4, 1)).codes.shape, (2, 16)
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
    "ternary()",
    "ternary(alpha=0.5,threshold=0.1)",
    "stochastic_ternary()",
    "stochastic_binary(alpha=2.0)",
    "bernoulli()",
    "quantized_po2(4)",
    "quantized_po2(4,1)",
    "quantized_relu_po2(4)",
    "quantized_relu_po2(4,2)",
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
            ("quantized_hswish(4)", "supported are"),
            ("quantized_po2(8)", "too far apart"),
            ("bernoulli(compat=True)", "draws its values"),
            ("quantized_bits(4,0,alpha='auto')", "depends on the data"),
            ("quantized_linear(4,0,alpha=0.3)", "power of two"),
        ],
    )
    def test_what_no_integer_holds_is_refused_by_layer(self, text: str, reason: str) -> None:
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
        x = inputs(4)
        y = x
        for index in range(4):
            y = layers.Multiply(name=f"square{index}")([y, y])
        network = integer_network(keras.Model(x, y), "quantized_bits(16,0)")
        with pytest.raises(IntegerOverflow, match="square2"):
            network.trace(np.full((1, 4), 0.99))
