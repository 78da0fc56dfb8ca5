"""Small networks on tables, and of several inputs and outputs, as users write them, each by a plain function."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops


def mlp() -> keras.Model:
    """Dense layers."""
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, activation="relu"), layers.Dense(3, activation="softmax")]
    )


def mlp_without_input() -> keras.Model:
    """Built by its first call."""
    model = keras.Sequential([layers.Dense(8, activation="relu"), layers.Dense(3)])
    model(np.zeros((1, 6), "float32"))
    return model


def binary() -> keras.Model:
    """A single score."""
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(4, activation="tanh"), layers.Dense(1, activation="sigmoid")]
    )


def regression() -> keras.Model:
    """Numbers out of features standardized in the model."""
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(3.0, [1, 2, 5, 1, 2, 5], (64, 6)).astype("float32"))
    return keras.Sequential(
        [keras.Input((6,)), normalization, layers.Dense(8, activation="relu"), layers.Dense(1)]
    )


def normalized_later() -> keras.Model:
    """A normalization behind a layer."""
    inputs = keras.Input((6,))
    x = layers.Dense(4)(inputs)
    x = layers.Normalization(mean=[0.0, 0.5, 1.0, -1.0], variance=[1.0, 2.0, 1.0, 4.0])(x)
    return keras.Model(inputs, layers.Dense(3)(layers.ReLU()(x)))


def self_normalizing() -> keras.Model:
    """SELU with AlphaDropout."""
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, activation="selu", kernel_initializer="lecun_normal"),
            layers.AlphaDropout(0.1),
            layers.GaussianDropout(0.1),
            layers.Dense(3),
        ]
    )


def regularized() -> keras.Model:
    """Regularizers and constraints."""
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4)),
            layers.ActivityRegularization(l1=1e-4),
            layers.Dense(3, kernel_constraint=keras.constraints.MaxNorm(2.0)),
        ]
    )


def layer_normalized() -> keras.Model:
    """Layer normalization, with and without its parameters, and unit length."""
    inputs = keras.Input((6,))
    x = layers.LayerNormalization(center=False)(layers.Dense(4)(inputs))
    x = layers.LayerNormalization(rms_scaling=True)(layers.Dense(4)(x))
    x = layers.UnitNormalization()(layers.Identity()(x))
    return keras.Model(inputs, layers.Dense(3)(x))


def highway() -> keras.Model:
    """A gate and what it leaves: `1 - gate`."""
    inputs = keras.Input((6,))
    gate = layers.Dense(6, activation="sigmoid")(inputs)
    x = gate * layers.Dense(6, activation="relu")(inputs) + (1.0 - gate) * inputs
    return keras.Model(inputs, layers.Dense(3)(x))


def wide_and_deep() -> keras.Model:
    """The features beside what a network makes of them."""
    inputs = keras.Input((6,))
    deep = layers.Dense(4, activation="relu")(layers.Dense(8, activation="relu")(inputs))
    return keras.Model(inputs, layers.Dense(1)(layers.concatenate([inputs, deep])))


def split_features() -> keras.Model:
    """Groups of features with branches of their own."""
    inputs = keras.Input((6,))
    first, second = layers.Dense(3)(inputs[:, :2]), layers.Dense(3)(inputs[:, 2:])
    return keras.Model(inputs, layers.Dense(3)(layers.Average()([first, second])))


def clipped() -> keras.Model:
    """Functions of keras.ops."""
    inputs = keras.Input((6,))
    x = ops.clip(layers.Dense(4)(inputs), 0.0, 1.0)
    x = ops.maximum(x, 0.25) if False else ops.tanh(x)
    x = ops.expand_dims(x, 1)
    x = ops.squeeze(layers.Conv1D(3, 1)(x), 1)
    return keras.Model(inputs, layers.Dense(3)(ops.reshape(x, (-1, 3))))


def tied() -> keras.Model:
    """One layer called twice."""
    hidden = layers.Dense(6, activation="relu", name="hidden")
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Dense(3)(hidden(hidden(inputs))))


def tied_branches() -> keras.Model:
    """One layer on two branches."""
    shared = layers.Dense(4, activation="relu")
    inputs = keras.Input((6,))
    left, right = layers.Dense(5)(inputs), layers.Dense(5)(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.Multiply()([shared(left), shared(right)])))


def mixed_precision() -> keras.Model:
    """Described for half precision."""
    inputs = keras.Input((6,))
    x = layers.Dense(4, activation="relu", dtype="mixed_float16")(inputs)
    return keras.Model(inputs, layers.Dense(3, dtype="float32")(x))


def named_output() -> keras.Model:
    """One output under a name of its own."""
    inputs = keras.Input((6,))
    x = layers.Dense(4, activation="relu")(inputs)
    return keras.Model(inputs, {"scores": layers.Dense(3, name="head")(x)})


def two_outputs() -> keras.Model:
    """Classes and a number."""
    inputs = keras.Input((6,))
    x = layers.Dense(4, activation="relu")(inputs)
    return keras.Model(
        inputs, [layers.Dense(3, activation="softmax", name="kind")(x), layers.Dense(1, name="size")(x)]
    )


def deep_nesting() -> keras.Model:
    """Models in models in models."""
    inner = keras.Sequential([layers.Dense(4, activation="relu"), layers.BatchNormalization()], name="inner")
    middle_inputs = keras.Input((6,))
    middle = keras.Model(middle_inputs, [inner(middle_inputs), layers.Dense(4)(middle_inputs)], name="middle")
    inputs = keras.Input((6,))
    first, second = middle(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.Add()([first, second])))


def ensemble() -> keras.Model:
    """The mean of two models."""
    members = [
        keras.Sequential([keras.Input((6,)), layers.Dense(4, activation="relu"), layers.Dense(3)])
        for _ in range(2)
    ]
    inputs = keras.Input((6,))
    return keras.Model(inputs, layers.Average()([member(inputs) for member in members]))
