"""Networks that use every step of an integer program: what the formats of integers are tried on, besides the others."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Final

import keras
from keras import layers

from tests.exports.models import BIAS, INPUT, KERNEL, RELU, WEIGHTS, Slots, quantized

Network = tuple[keras.Model, dict[str, Slots]]
_FIRED: Final = {**WEIGHTS, "activation": RELU}


def _sequence() -> Network:
    x = layers.Input((12, 3), name="image")
    y = layers.Conv1D(4, 3, padding="causal", activation="relu", name="conv")(x)
    y = layers.MaxPooling1D(2, name="peak")(y)
    y = layers.Permute((2, 1), name="turn")(y)
    y = layers.Dense(5, activation="tanh", name="mix")(y)
    y = layers.GlobalAveragePooling1D(name="mean")(y)
    y = layers.RepeatVector(3, name="again")(y)
    y = layers.Dense(4, activation="sigmoid", name="gate")(y)
    y = layers.Reshape((12,), name="flat")(y)
    y = layers.Dense(3, name="scores")(y)
    return keras.Model(x, y), {
        "conv": _FIRED,
        "mix": {**WEIGHTS, "activation": "quantized_bits(6,0,1,alpha=1.0)"},
        "gate": {**WEIGHTS, "activation": "quantized_sigmoid(4)"},
        "scores": WEIGHTS,
    }


def _image() -> Network:
    x = layers.Input((7, 6, 3), name="image")
    y = layers.ZeroPadding2D(((1, 2), (0, 1)), name="pad")(x)
    y = layers.Conv2D(6, 3, groups=3, dilation_rate=2, activation="relu", name="grouped")(y)
    y = layers.Cropping2D(((1, 0), (0, 1)), name="crop")(y)
    y = layers.UpSampling2D((2, 1), name="up")(y)
    left = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(y)
    left = layers.BatchNormalization(name="norm")(left)
    left = layers.LeakyReLU(0.25, name="leak")(left)
    left = layers.Activation("relu", name="fire")(left)
    right = layers.Conv2D(12, 1, activation="relu", name="point")(y)
    merged = [
        layers.Add(name="add")([left, right]),
        layers.Subtract(name="subtract")([left, right]),
        layers.Multiply(name="multiply")([left, right]),
        layers.Maximum(name="maximum")([left, right]),
        layers.Minimum(name="minimum")([left, right]),
        layers.Average(name="average")([left, right]),
    ]
    y = layers.Concatenate(axis=2, name="join")(merged)
    y = layers.AveragePooling2D((1, 2), name="mean")(y)
    y = layers.MaxPooling2D(3, strides=2, padding="same", name="peak")(y)
    y = layers.GlobalAveragePooling2D(keepdims=True, name="whole")(y)
    y = layers.Flatten(name="flat")(y)
    return keras.Model(x, layers.Dense(3, name="scores")(y)), {
        "grouped": _FIRED,
        "depthwise": {"kernel": "binary(alpha=1.0)", "bias": BIAS},
        "fire": {"activation": "quantized_relu(6,1)"},
        "point": {**_FIRED, "kernel": "ternary(alpha=1.0)"},
        "scores": WEIGHTS,
    }


def _scales() -> Network:
    x = layers.Input((5,), name="image")
    y = layers.Dense(6, activation="tanh", name="channels")(x)
    y = layers.Dense(6, name="powers")(y)
    y = layers.ReLU(max_value=0.5, negative_slope=0.25, threshold=0.25, name="bent")(y)
    y = layers.Activation("relu", name="leaky")(y)
    y = layers.Dense(6, activation="relu", name="spikes")(y)
    y = layers.ELU(name="elu")(y)
    y = layers.Dense(4, name="wide")(y)
    y = layers.Dense(3, name="scores")(y)
    kernel = {"bias": BIAS}
    return keras.Model(x, y), {
        "channels": {
            **kernel,
            "kernel": "quantized_bits(4,0,1,alpha='auto_po2')",
            "activation": "quantized_tanh(4,use_real_tanh=1)",
        },
        "powers": {**kernel, "kernel": "quantized_po2(4,1)"},
        "leaky": {"activation": "quantized_relu(4,1,negative_slope=0.25)"},
        "spikes": {**WEIGHTS, "activation": "quantized_relu_po2(4,2)"},
        "elu": {"activation": "quantized_bits(5,1,alpha=1.0)"},
        "wide": {"kernel": "quantized_bits(16,0,1,alpha=1.0)", "bias": "quantized_bits(16,3)"},
        "scores": {"kernel": "quantized_bits(12,0,1,alpha=1.0)", "bias": BIAS},
    }


_LOOP: Final = {
    **WEIGHTS,
    "recurrent_kernel": KERNEL,
    "activation": "quantized_tanh(5)",
    "recurrent_activation": "quantized_sigmoid(5)",
    "state": "quantized_bits(6,1,1)",
}


def _loops() -> Network:
    x = layers.Input((1, 3), name="image")  # two steps: each is compiled
    y = layers.Conv1DTranspose(3, 3, strides=2, padding="same", name="longer")(x)
    y = layers.PReLU(name="slopes", alpha_initializer=keras.initializers.RandomUniform(-1, 1, seed=1))(y)
    y = layers.LSTM(2, return_sequences=True, go_backwards=True, name="lstm")(y)
    y = layers.GRU(2, return_sequences=True, name="gru")(y)
    y = layers.GRU(2, return_sequences=True, reset_after=False, use_bias=False, name="before")(y)
    y = layers.SimpleRNN(3, name="simple")(y)
    loop = {slot: text for slot, text in _LOOP.items() if slot != "bias"}
    simple = {slot: text for slot, text in _LOOP.items() if slot not in ("recurrent_activation", "state")}
    return keras.Model(x, layers.Dense(3, name="scores")(y)), {
        "longer": {**WEIGHTS, "activation": "quantized_bits(6,1,1)"},
        "slopes": {"alpha": "quantized_bits(4,0,1)", "activation": "quantized_bits(5,1,1)"},
        "lstm": _LOOP,
        "gru": _LOOP,
        "before": loop,
        "simple": simple,
        "scores": WEIGHTS,
    }


def _both_ways() -> Network:
    x = layers.Input((3, 2), name="image")
    y = layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="concat")(x)
    y = layers.Bidirectional(layers.GRU(3, return_sequences=True), merge_mode="sum", name="sum")(y)
    y = layers.Bidirectional(
        layers.LSTM(2, return_sequences=True),
        backward_layer=layers.LSTM(2, return_sequences=True, go_backwards=True),
        merge_mode="mul",
        name="mul",
    )(y)
    y = layers.Bidirectional(layers.GRU(2), merge_mode="ave", name="ave")(y)
    loops = dict.fromkeys(("concat", "sum", "mul", "ave"), _LOOP)
    return keras.Model(x, layers.Dense(3, name="scores")(y)), {**loops, "scores": WEIGHTS}


def _volume() -> Network:
    x = layers.Input((3, 4, 2), name="image")
    y = layers.Conv2DTranspose(2, (3, 2), strides=(2, 3), name="larger")(x)
    y = layers.PReLU(shared_axes=[1, 2], name="slopes", alpha_initializer=keras.initializers.Constant(-0.5))(
        y
    )
    y = layers.Conv2DTranspose(2, 3, padding="same", dilation_rate=2, name="wide")(y)
    y = layers.Activation("relu", name="fire")(y)
    y = layers.Reshape((7, 4, 3, 2), name="solid")(y)
    y = layers.ZeroPadding3D(((1, 0), (0, 1), (1, 1)), name="pad")(y)
    y = layers.Cropping3D(((0, 1), (1, 0), (0, 0)), name="crop")(y)
    y = layers.UpSampling3D((1, 2, 1), name="up")(y)
    y = layers.MaxPooling3D((2, 2, 1), strides=1, padding="same", name="peak")(y)
    y = layers.AveragePooling3D((1, 2, 2), name="mean")(y)
    left, right = layers.GlobalMaxPooling3D(name="most")(y), layers.GlobalAveragePooling3D(name="whole")(y)
    y = layers.Concatenate(name="join")([left, right])
    return keras.Model(x, layers.Dense(3, name="scores")(y)), {
        "larger": WEIGHTS,
        "slopes": {"alpha": "quantized_bits(4,0,1)"},
        "wide": WEIGHTS,
        "fire": {"activation": RELU},
        "scores": WEIGHTS,
    }


#: Name -> a float model with the quantizers of its layers.
PROGRAM_NETWORKS: Final[Mapping[str, Callable[[], Network]]] = {
    "sequence": _sequence,
    "image": _image,
    "scales": _scales,
    "loops": _loops,
    "both ways": _both_ways,
    "volume": _volume,
}


@functools.cache
def program_network(name: str) -> keras.Model:
    """The quantized network of a name."""
    keras.utils.set_random_seed(11)
    model, slots = PROGRAM_NETWORKS[name]()
    return quantized(model, INPUT | slots)
