"""Quantized models with random weights, as integer networks."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from quantization.integer import IntegerNetwork, integer_network
from quantization.models.convert import quantize
from quantization.specs.parse import parse_quantizer

WEIGHTS = {"kernel": "quantized_bits(4,0,1)", "bias": "quantized_bits(8,3)"}
PIXELS = "quantized_relu(5,1)"  #: 0 to 16 sixteenths, exactly
RELU = "quantized_relu(4,2)"


def inputs(*shape: int) -> Any:
    return layers.Input(shape, name="image")


def random_images(count: int = 16, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 17, (count, *shape)).astype(np.float32) / 16


def randomized(model: keras.Model, seed: int = 1) -> keras.Model:
    """The model with other biases and statistics than the zeros and ones it starts with."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("bias", "beta", "moving_mean"):
            weight.assign(random.normal(0, 0.3, weight.shape))
        elif weight.name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.4, 1.8, weight.shape))
    return model


def check_bit_exact(
    model: keras.Model, x: np.ndarray, input_quantizer: str | None = PIXELS
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


def quantized_model(x: Any, y: Any, assignment: dict[str, dict[str, str]]) -> keras.Model:
    specs = {
        name: {slot: parse_quantizer(text) for slot, text in slots.items()}
        for name, slots in assignment.items()
    }
    return randomized(quantize(keras.Model(x, y), specs))


def dense_after(layer: Any, **slots: str) -> keras.Model:
    x = inputs(4)
    return quantized_model(x, layers.Dense(2, name="dense")(layer(x)), {"dense": slots})
