"""The program of an integer network computes what the network does, within the bounds that it states."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from quantization.integer import integer_network
from quantization.integer.lower import lower
from quantization.integer.program import Program, run
from quantization.models.convert import quantize
from quantization.specs.parse import parse_quantizer
from tests.quantization.integer.networks import (
    PIXELS,
    RELU,
    WEIGHTS,
    inputs,
    quantized_model,
    random_images,
    randomized,
)


def check(model: keras.Model, x: np.ndarray, input_quantizer: str | None = PIXELS) -> Program:
    """Every layer's values are the network's, and every code lies within its bounds."""
    network = integer_network(model, input_quantizer)
    program = lower(network, x.shape[1:])
    trace, codes = network.trace(x), run(program, network.encode(x).codes)
    result = program.tensors[program.result]
    np.testing.assert_array_equal(
        codes[result.name] * 2.0**result.exponent, trace[network.output_name].to_float()
    )
    for name, tensor in program.tensors.items():
        assert codes[name].shape[1:] == tensor.shape, name
        assert tensor.low <= codes[name].min(), name
        assert codes[name].max() <= tensor.high, name
    return program


_LAYERS: dict[str, Any] = {
    "conv": lambda: layers.Conv2D(4, 3, strides=2, padding="same", name="tested"),
    "grouped": lambda: layers.Conv2D(6, 3, groups=3, dilation_rate=2, name="tested"),
    "depthwise": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="tested"),
    "separable": lambda: layers.SeparableConv2D(4, 3, name="tested"),
    "dense": lambda: layers.Dense(5, name="tested"),
}


@pytest.mark.parametrize("name", _LAYERS)
@pytest.mark.parametrize("kernel", ["quantized_bits(4,0,1)", "binary()", "quantized_po2(4,1)"])
def test_products(name: str, kernel: str) -> None:
    x = inputs(7, 6, 3)
    layer = _LAYERS[name]()
    slots = {"kernel": kernel, "bias": "quantized_bits(8,3)"}
    if name == "separable":
        slots["pointwise_kernel"] = kernel
    y = layers.Activation("relu", name="relu")(layer(x))
    model = quantized_model(x, y, {"tested": slots, "relu": {"activation": RELU}})
    check(model, random_images(4, 7, 6, 3))


@pytest.mark.parametrize(
    "make",
    [
        lambda: layers.MaxPooling2D(3, strides=2, padding="same"),
        lambda: layers.AveragePooling2D(2),
        lambda: layers.GlobalAveragePooling2D(keepdims=True),
        lambda: layers.GlobalMaxPooling2D(),
        lambda: layers.Flatten(),
        lambda: layers.Permute((2, 3, 1)),
        lambda: layers.ZeroPadding2D(((1, 2), (0, 1))),
        lambda: layers.Cropping2D(((1, 2), (0, 1))),
        lambda: layers.UpSampling2D((2, 1)),
        lambda: layers.Dropout(0.5),
        lambda: layers.ReLU(max_value=0.5, negative_slope=0.25, threshold=0.25),
        lambda: layers.LeakyReLU(0.3),
        lambda: layers.BatchNormalization(),
    ],
)
def test_layers_without_kernels(make: Any) -> None:
    x = inputs(8, 4, 3)
    check(randomized(keras.Model(x, make()(x))), random_images(4, 8, 4, 3))


@pytest.mark.parametrize(
    "merge",
    [
        layers.Add,
        layers.Subtract,
        layers.Multiply,
        layers.Maximum,
        layers.Minimum,
        layers.Concatenate,
        layers.Average,
    ],
)
def test_branches_on_different_grids(merge: Any) -> None:
    x = inputs(4, 4, 2)
    fine, coarse = layers.Activation("relu", name="fine")(x), layers.Activation("relu", name="coarse")(x)
    slots = {"fine": {"activation": "quantized_relu(6,1)"}, "coarse": {"activation": "quantized_relu(2,1)"}}
    check(quantized_model(x, merge(name="merged")([fine, coarse]), slots), random_images(4, 4, 4, 2))


@pytest.mark.parametrize(
    "quantizer",
    [
        "quantized_bits(4,1,alpha=1.5)",
        "quantized_bits(1,0,1,alpha=1.0)",
        "quantized_relu(4,1,negative_slope=0.25)",
        "quantized_relu(5,2,use_sigmoid=1)",
        "quantized_tanh(4)",
        "quantized_tanh(4,use_real_tanh=1)",
        "quantized_sigmoid(4)",
        "quantized_sigmoid(5,use_real_sigmoid=1)",
        "binary(alpha=0.5)",
        "ternary(alpha=1.0,threshold=0.3)",
        "quantized_po2(4,1)",
        "quantized_relu_po2(4,2)",
    ],
)
def test_every_kind_of_activation_quantizer(quantizer: str) -> None:
    x = inputs(6)
    y = layers.Activation("relu" if "relu" in quantizer else "linear", name="fire")(
        layers.Dense(8, name="sum")(x)
    )
    model = quantized_model(x, y, {"sum": WEIGHTS, "fire": {"activation": quantizer}})
    check(model, random_images(32, 6) * 4 - 2, "quantized_bits(6,2,1,alpha=1.0)")


def test_channels_with_exponents_of_their_own() -> None:
    x = inputs(5)
    y = layers.Activation("tanh", name="fire")(layers.Dense(6, name="sum")(x))
    slots = {"kernel": "quantized_bits(4,0,1,alpha='auto_po2')", "bias": "quantized_bits(8,3)"}
    model = quantized_model(x, y, {"sum": slots, "fire": {"activation": "quantized_tanh(4,use_real_tanh=1)"}})
    program = check(model, random_images(32, 5))
    assert program.tensors["sum"].exponent.ndim == 1


def test_a_sequential_model_and_sequences() -> None:
    model = keras.Sequential(
        [
            layers.Input((12, 3), name="image"),
            layers.Conv1D(4, 3, padding="causal", name="sum"),
            layers.MaxPooling1D(2),
            layers.GlobalAveragePooling1D(),
            layers.RepeatVector(3),
            layers.Dense(2, activation="softmax", name="scores"),
        ]
    )

    weights = {slot: parse_quantizer(text) for slot, text in WEIGHTS.items()}
    quantized = quantize(model, {"sum": {**weights, "activation": parse_quantizer(RELU)}, "scores": weights})
    check(quantized, random_images(4, 12, 3))
