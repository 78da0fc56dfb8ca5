"""Small networks of two and more inputs, as users write them, each by a plain function."""

from __future__ import annotations

from typing import Any, Final

import keras
from keras import layers, ops

from tests.models.sequences import WORDS

#: Of a job on `named_inputs_and_outputs`.
TWO_LOSSES: Final[dict[str, Any]] = {
    "objective": {"metric": "accuracy", "output": "scores"},
    "training": {"loss": {"scores": "crossentropy", "price": "mse"}},
}


def image_and_numbers() -> keras.Model:
    """A convolution beside a dense layer."""
    image, numbers = keras.Input((8, 8, 1), name="image"), keras.Input((5,), name="numbers")
    x = layers.Flatten()(layers.MaxPooling2D()(layers.Conv2D(3, 3, activation="relu")(image)))
    joined = layers.Concatenate()([x, layers.Dense(4, activation="relu")(numbers)])
    return keras.Model([image, numbers], layers.Dense(3, activation="softmax")(joined))


def named_inputs() -> keras.Model:
    """A mapping of inputs, whose keys Keras sorts."""
    numbers, image = keras.Input((5,), name="numbers"), keras.Input((6, 6, 1), name="image")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(image))
    joined = layers.Add()([x, layers.Dense(4)(numbers)])
    return keras.Model({"numbers": numbers, "image": image}, layers.Dense(3)(layers.ReLU()(joined)))


def named_inputs_and_outputs() -> keras.Model:
    """Mappings at both ends; the keys of the outputs are no names of layers."""
    area, rooms = keras.Input((4,), name="area"), keras.Input((3,), name="rooms")
    x = layers.Dense(6, activation="relu")(layers.Concatenate()([area, rooms]))
    outputs = {"kind": layers.Dense(3, name="scores")(x), "cost": layers.Dense(1, name="price")(x)}
    return keras.Model({"area": area, "rooms": rooms}, outputs)


def twins() -> keras.Model:
    """One encoder for two images, and their distance."""
    inputs = keras.Input((6, 6, 1))
    x = layers.Conv2D(3, 3, activation="relu")(inputs)
    encoder = keras.Model(inputs, layers.Dense(4)(layers.Flatten()(x)), name="encoder")
    one, other = keras.Input((6, 6, 1), name="one"), keras.Input((6, 6, 1), name="other")
    distance = ops.square(encoder(one) - encoder(other))
    return keras.Model([one, other], layers.Dense(1, activation="sigmoid")(distance))


def words_and_numbers() -> keras.Model:
    """An embedding beside a dense layer: whole numbers at one input, values at the other."""
    words, numbers = keras.Input((6,), dtype="int32", name="words"), keras.Input((4,), name="numbers")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(WORDS, 4)(words))
    joined = layers.Concatenate()([x, layers.Dense(4, activation="relu")(numbers)])
    return keras.Model([words, numbers], layers.Dense(3)(joined))


def scaled_inputs() -> keras.Model:
    """Each input scaled by the model in its own way."""
    image, numbers = keras.Input((6, 6, 2), name="image"), keras.Input((3,), name="numbers")
    x = layers.Conv2D(3, 3, activation="relu")(layers.Rescaling(1 / 127.5, offset=-1.0)(image))
    scaled = layers.Normalization(mean=[0.0, 1.0, -1.0], variance=[1.0, 4.0, 2.0])(numbers)
    joined = layers.Concatenate()([layers.Flatten()(x), scaled])
    return keras.Model([image, numbers], layers.Dense(3)(joined))


def series_of_two_sensors() -> keras.Model:
    """Two sampling rates."""
    fast, slow = keras.Input((12, 2), name="fast"), keras.Input((6, 1), name="slow")
    x = layers.Conv1D(3, 3, strides=2, padding="same", activation="relu")(fast)
    joined = layers.Concatenate()([x, slow])
    return keras.Model([fast, slow], layers.Dense(3)(layers.GRU(4)(joined)))


def nested_towers() -> keras.Model:
    """A model of two inputs inside a model of three."""
    one, two = keras.Input((4,)), keras.Input((3,))
    inner = keras.Model(
        [one, two], layers.Multiply()([layers.Dense(4)(one), layers.Dense(4)(two)]), name="inner"
    )
    a, b, c = (keras.Input((size,), name=name) for size, name in ((4, "a"), (3, "b"), (2, "c")))
    joined = layers.Concatenate()([inner([a, b]), c])
    return keras.Model([a, b, c], layers.Dense(3, activation="softmax")(joined))


def question_and_context() -> keras.Model:
    """Attention from one input to another."""
    question, context = keras.Input((4, 6), name="question"), keras.Input((5, 6), name="context")
    x = layers.MultiHeadAttention(2, 3)(question, context)
    return keras.Model([question, context], layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def one_named_input() -> keras.Model:
    """A mapping of a single input and a single output."""
    inputs = keras.Input((6,), name="features")
    x = layers.Dense(4, activation="relu")(inputs)
    return keras.Model({"features": inputs}, {"kind": layers.Dense(3, name="scores")(x)})
