"""Small quantized networks of every kind, with random weights: what the formats are tried on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

import keras
import numpy as np
from keras import layers

from quantization.models.convert import quantize
from quantization.specs.parse import parse_quantizer

Slots = Mapping[str, str]

KERNEL: Final = "quantized_bits(4,0,1,alpha=1.0)"
BIAS: Final = "quantized_bits(8,3,1)"
RELU: Final = "quantized_relu(4,2)"
WEIGHTS: Final = {"kernel": KERNEL, "bias": BIAS}
INPUT: Final = {"image": {"activation": "quantized_bits(8,0,0,keep_negative=False)"}}


def _mlp() -> tuple[keras.Model, dict[str, Slots]]:
    x = layers.Input((6,), name="image")
    y = layers.Dense(8, activation="relu", name="hidden")(x)
    y = layers.Dense(3, activation="softmax", name="scores")(y)
    return keras.Model(x, y), {"hidden": WEIGHTS | {"activation": RELU}, "scores": WEIGHTS}


def _cnn() -> tuple[keras.Model, dict[str, Slots]]:
    x = layers.Input((6, 6, 2), name="image")
    y = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    y = layers.Activation("relu", name="fire")(y)
    y = layers.MaxPooling2D(2, name="pool")(y)
    y = layers.Flatten(name="flat")(y)
    y = layers.Dense(3, name="scores")(y)
    y = layers.Activation("softmax", name="probabilities")(y)
    return keras.Model(x, y), {"conv": WEIGHTS, "fire": {"activation": RELU}, "scores": WEIGHTS}


def _residual() -> tuple[keras.Model, dict[str, Slots]]:
    x = layers.Input((6, 6, 2), name="image")
    start = layers.Conv2D(4, 3, padding="same", activation="relu", name="start")(x)
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="branch")(start)
    y = layers.Add(name="join")([start, y])
    y = layers.GlobalMaxPooling2D(name="peak")(y)
    y = layers.Dense(3, name="scores")(y)
    quantized = {name: WEIGHTS | {"activation": RELU} for name in ("start", "branch")}
    return keras.Model(x, y), quantized | {"scores": WEIGHTS}


def _depthwise() -> tuple[keras.Model, dict[str, Slots]]:
    x = layers.Input((6, 6, 2), name="image")
    y = layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu", name="depthwise")(x)
    y = layers.SeparableConv2D(4, 2, activation="relu", name="separable")(y)
    y = layers.AveragePooling2D(2, name="mean")(y)
    y = layers.Flatten(name="flat")(y)
    y = layers.Dense(3, name="scores")(y)
    return keras.Model(x, y), {
        "depthwise": WEIGHTS | {"activation": RELU},
        "separable": WEIGHTS | {"activation": RELU, "pointwise_kernel": KERNEL},
        "scores": WEIGHTS,
    }


def _sequential() -> tuple[keras.Model, dict[str, Slots]]:
    model = keras.Sequential(
        [
            layers.Input((6, 6, 2), name="image"),
            layers.Conv2D(4, 3, strides=2, activation="relu", name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(1, activation="sigmoid", name="scores"),
        ]
    )
    return model, {"conv": WEIGHTS | {"activation": RELU}, "scores": WEIGHTS}


#: Name -> a float model with the quantizers of its layers.
NETWORKS: Final[Mapping[str, Callable[[], tuple[keras.Model, dict[str, Slots]]]]] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "residual": _residual,
    "depthwise": _depthwise,
    "sequential": _sequential,
}


def quantized(model: keras.Model, slots: Mapping[str, Slots], seed: int = 1) -> keras.Model:
    """The model with these quantizers, and weights and statistics that are not those of a new one."""
    specs = {
        name: {slot: parse_quantizer(text) for slot, text in chosen.items()} for name, chosen in slots.items()
    }
    result = quantize(model, specs)
    random = np.random.default_rng(seed)
    for weight in result.weights:
        if weight.name in ("bias", "beta", "moving_mean"):
            weight.assign(random.normal(0, 0.3, weight.shape))
        elif weight.name in ("gamma", "moving_variance"):
            weight.assign(random.uniform(0.4, 1.8, weight.shape))
    return result


@functools.cache
def network(name: str) -> keras.Model:
    """The quantized network of a name, its input quantized to 8 bits."""
    keras.utils.set_random_seed(7)
    model, slots = NETWORKS[name]()
    return quantized(model, INPUT | slots)


def examples(model: keras.Model, count: int = 24, seed: int = 0) -> Any:
    """Random inputs from 0 to 1."""
    shape = (count, *model.inputs[0].shape[1:])
    return np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)
