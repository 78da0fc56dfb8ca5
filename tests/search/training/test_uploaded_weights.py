"""Models rebuilt from uploaded files: the same network with the same weights, of every kind of layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from search.training.uploaded_weights import rebuilt
from search.uploads import check_model, read_architecture, write_weights
from worker.sandbox import child


def sequential() -> keras.Model:
    """Never told its input shape but by its first call."""
    model = keras.Sequential([layers.Dense(6, activation="relu"), layers.Dropout(0.3), layers.Dense(3)])
    model.build((None, 5))
    return model


def residual() -> keras.Model:
    image = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, padding="same", kernel_regularizer=keras.regularizers.L2(1e-4))(image)
    x = layers.BatchNormalization()(x)
    y = layers.SeparableConv2D(4, 3, padding="same", depth_multiplier=2)(layers.ReLU()(x))
    x = layers.Add()([x, y])
    x = layers.DepthwiseConv2D(3, depthwise_constraint=keras.constraints.MaxNorm(2.0))(x)
    x = layers.PReLU(shared_axes=[1, 2])(x)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    return keras.Model(image, layers.Dense(3, activation="softmax", dtype="float32")(x))


def recurrent() -> keras.Model:
    sequence = keras.Input((6, 4))
    x = layers.LSTM(3, return_sequences=True)(sequence)
    x = layers.Bidirectional(layers.GRU(2, return_sequences=True))(x)
    x = layers.MultiHeadAttention(2, 3)(x, x)
    x = layers.LayerNormalization()(x)
    x = layers.SimpleRNN(4, recurrent_initializer="identity")(x)
    return keras.Model(sequence, layers.Dense(2)(x))


def embedded() -> keras.Model:
    words = keras.Input((7,), dtype="int32")
    x = layers.Conv1D(4, 2, dilation_rate=2)(layers.Embedding(11, 3)(words))
    x = layers.Conv1DTranspose(3, 2, strides=2)(x)
    return keras.Model(words, layers.Dense(2)(layers.Flatten()(layers.MaxPooling1D()(x))))


def two_heads() -> keras.Model:
    x = keras.Input((5,))
    h = layers.Dense(4)(x)
    return keras.Model(x, [layers.Dense(2, name="a")(h), layers.Dense(1, name="b")(layers.LeakyReLU()(h))])


@pytest.mark.parametrize(
    ("make", "compiled"),
    [
        (sequential, False),
        (sequential, True),
        (residual, True),
        (recurrent, True),
        (embedded, False),
        (two_heads, True),
    ],
)
def test_a_rebuilt_model_gives_what_the_uploaded_one_gives(
    tmp_path: Path, make: Callable[[], keras.Model], compiled: bool
) -> None:
    keras.utils.set_random_seed(3)
    model = make()
    for variable in model.weights:
        if "float" in str(variable.dtype):
            variable.assign(np.abs(np.random.default_rng(1).normal(size=variable.shape)) + 0.1)
    if compiled:
        model.compile("adam", "mse")
        model.optimizer.build(model.trainable_variables)
    path = tmp_path / "model.keras"
    model.save(path)
    assert check_model(path).has_weights
    write_weights(path, tmp_path / "theirs.h5")

    def read(expected: Mapping[str, tuple[int, ...]]) -> Mapping[str, Any]:
        arrays: dict[str, Any] = child.read(
            tmp_path / "theirs.h5", {name: list(s) for name, s in expected.items()}
        )
        return arrays

    again = rebuilt(read_architecture(path)[0].document, 7, read, tmp_path)
    shape = tuple(2 if length is None else length for length in again.input_shape)
    x = np.random.default_rng(2).integers(0, 9, shape).astype("float32")
    for ours, theirs in zip(again.weights, model.weights, strict=True):
        if "float" in str(theirs.dtype):
            assert np.array_equal(ours, theirs), theirs.path
    ours, theirs = (keras.tree.flatten(network(x, training=False)) for network in (again, model))
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_parameters_are_counted_as_keras_counts_them(tmp_path: Path) -> None:
    model = residual()
    model.save(tmp_path / "model.keras")
    assert check_model(tmp_path / "model.keras").parameters == model.count_params()
