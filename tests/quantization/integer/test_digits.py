"""Integer networks refuse what they cannot compute exactly, and compute a trained digits network."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from quantization.integer import NotInIntegers, integer_network
from quantization.models.convert import quantize
from quantization.specs.parse import parse_quantizer
from search.data.digits import read_digits
from search.data.files import DataFault
from tests.quantization.integer.networks import (
    PIXELS,
    RELU,
    WEIGHTS,
    dense_after,
    inputs,
)


class TestRefusals:
    @pytest.mark.parametrize(
        ("make", "layer", "reason"),
        [
            (
                lambda: dense_after(layers.Flatten(), bias="quantized_bits(8,3)"),
                "dense",
                "kernel is not quantized",
            ),
            (lambda: dense_after(layers.Flatten(), kernel="binary()"), "dense", "bias is not quantized"),
            (lambda: dense_after(layers.Activation("tanh", name="act"), **WEIGHTS), "act", "'tanh'"),
            (lambda: dense_after(layers.Softmax(name="soft"), **WEIGHTS), "soft", "output's softmax"),
            (
                lambda: dense_after(layers.Activation("softmax", name="act"), **WEIGHTS),
                "act",
                "output's softmax",
            ),
            (lambda: dense_after(layers.ELU(name="elu"), **WEIGHTS), "elu", "activation 'elu'"),
        ],
    )
    def test_the_layer_is_named(self, make: Any, layer: str, reason: str) -> None:
        with pytest.raises(NotInIntegers, match=reason) as caught:
            integer_network(make(), PIXELS)
        assert caught.value.layer == layer

    def test_float_inputs_need_a_quantizer(self) -> None:
        with pytest.raises(NotInIntegers, match="input_quantizer"):
            integer_network(dense_after(layers.Flatten(), **WEIGHTS))


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
    x = inputs(8, 8, 1)
    y = layers.Activation("relu", name="pixels")(x)
    y = layers.Conv2D(8, 3, name="conv")(y)
    y = layers.Activation("relu", name="conv_relu")(y)
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y)
    y = layers.Activation("relu", name="depthwise_relu")(y)
    y = layers.Flatten(name="flat")(layers.MaxPooling2D(2, name="pool")(y))
    y = layers.Dense(10, activation="softmax", name="head")(y)
    specs: dict[str, dict[str, str]] = dict.fromkeys(("conv", "depthwise", "head"), WEIGHTS)
    specs |= {"pixels": {"activation": PIXELS}}
    specs |= {name: {"activation": RELU} for name in ("conv_relu", "depthwise_relu")}
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
