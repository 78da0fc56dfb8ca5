"""Small networks on series and tokens as users write them, each by a plain function."""

from __future__ import annotations

import keras
from keras import layers, ops

WORDS = 20


def lstm() -> keras.Model:
    """A recurrent layer and a head."""
    return keras.Sequential([keras.Input((6, 3)), layers.LSTM(4), layers.Dense(3, activation="softmax")])


def stacked_gru() -> keras.Model:
    """Two recurrent layers with dropout."""
    return keras.Sequential(
        [
            keras.Input((6, 3)),
            layers.GRU(4, return_sequences=True, dropout=0.1),
            layers.GRU(4),
            layers.Dense(3),
        ]
    )


def bidirectional() -> keras.Model:
    """Both directions."""
    return keras.Sequential([keras.Input((6, 3)), layers.Bidirectional(layers.LSTM(3)), layers.Dense(3)])


def simple_rnn() -> keras.Model:
    """The simplest recurrent layer."""
    return keras.Sequential([keras.Input((6, 3)), layers.SimpleRNN(4, activation="relu"), layers.Dense(3)])


def masked_series() -> keras.Model:
    """Series padded with zeros (functional)."""
    inputs = keras.Input((6, 3))
    x = layers.LSTM(4)(layers.Masking(0.0)(inputs))
    return keras.Model(inputs, layers.Dense(3)(x))


def masked_sequential() -> keras.Model:
    """Series padded with -1 (Sequential)."""
    return keras.Sequential(
        [keras.Input((6, 3)), layers.Masking(mask_value=-1.0), layers.GRU(4), layers.Dense(3)]
    )


def words() -> keras.Model:
    """Word vectors, averaged."""
    return keras.Sequential(
        [keras.Input((6,)), layers.Embedding(WORDS, 4), layers.GlobalAveragePooling1D(), layers.Dense(3)]
    )


def masked_words() -> keras.Model:
    """`mask_zero` before a recurrent layer (Sequential)."""
    return keras.Sequential(
        [keras.Input((6,)), layers.Embedding(WORDS, 4, mask_zero=True), layers.LSTM(4), layers.Dense(3)]
    )


def masked_words_functional() -> keras.Model:
    """`mask_zero` before a bidirectional layer, whole numbers as the input's type."""
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(WORDS, 4, mask_zero=True)(inputs)
    x = layers.Bidirectional(layers.LSTM(3))(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def text_cnn() -> keras.Model:
    """Convolutions over words."""
    inputs = keras.Input((8,))
    x = layers.Embedding(WORDS, 4)(inputs)
    x = layers.SpatialDropout1D(0.2)(x)
    branches = [layers.GlobalMaxPooling1D()(layers.Conv1D(2, n, activation="relu")(x)) for n in (2, 3)]
    return keras.Model(inputs, layers.Dense(3)(layers.Concatenate()(branches)))


def transformer() -> keras.Model:
    """A transformer block over words."""
    inputs = keras.Input((6,))
    x = layers.Embedding(WORDS, 4)(inputs)
    attended = layers.MultiHeadAttention(2, 2, dropout=0.1)(x, x)
    x = layers.LayerNormalization()(x + attended)
    y = layers.Dense(4)(layers.Dense(8, activation="relu")(x))
    x = layers.LayerNormalization()(x + layers.Dropout(0.1)(y))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


def causal_attention() -> keras.Model:
    """The last of causally attended steps, normalized by its root mean square."""
    inputs = keras.Input((6, 4))
    x = layers.RMSNormalization()(inputs)
    x = layers.MultiHeadAttention(2, 2)(x, x, use_causal_mask=True)
    return keras.Model(inputs, layers.Dense(3)(x[:, -1]))


def tagger() -> keras.Model:
    """Sequence labelling: a class for each step."""
    inputs = keras.Input((6,))
    x = layers.Embedding(WORDS, 4)(inputs)
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True))(x)
    return keras.Model(inputs, layers.TimeDistributed(layers.Dense(3, activation="softmax"))(x))


def temporal_cnn() -> keras.Model:
    """Dilated causal convolutions with residuals."""
    inputs = keras.Input((8, 2))
    x = layers.Conv1D(4, 2, padding="causal", activation="relu")(inputs)
    y = layers.Conv1D(4, 2, padding="causal", dilation_rate=2, activation="relu")(x)
    x = layers.add([x, y])
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def keywords() -> keras.Model:
    """Keyword spotting: depthwise separable convolutions over a spectrogram."""
    inputs = keras.Input((10, 8))
    x = layers.Reshape((10, 8, 1))(inputs)
    x = layers.Conv2D(4, (3, 2), strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Conv2D(4, 1)(x)
    x = layers.Dropout(0.2)(layers.AveragePooling2D((5, 4))(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))


def separable_series() -> keras.Model:
    """Separable and depthwise convolutions of one axis, padded and cropped."""
    inputs = keras.Input((8, 3))
    x = layers.ZeroPadding1D(1)(inputs)
    x = layers.SeparableConv1D(4, 3, activation="relu")(x)
    x = layers.DepthwiseConv1D(3)(layers.Cropping1D((1, 0))(x))
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def upsampled() -> keras.Model:
    """An autoencoder of series."""
    inputs = keras.Input((8, 2))
    x = layers.MaxPooling1D()(layers.Conv1D(4, 3, padding="same", activation="relu")(inputs))
    x = layers.UpSampling1D()(x)
    return keras.Model(inputs, layers.Conv1D(2, 3, padding="same")(x))


def repeated() -> keras.Model:
    """Encoder and decoder: a vector repeated for every step."""
    inputs = keras.Input((6, 2))
    x = layers.RepeatVector(6)(layers.LSTM(3)(inputs))
    x = layers.LSTM(3, return_sequences=True)(x)
    return keras.Model(inputs, layers.TimeDistributed(layers.Dense(2))(x))


def differences() -> keras.Model:
    """Differences of successive steps by slices."""
    inputs = keras.Input((6, 2))
    x = layers.Concatenate()([inputs[:, 1:], inputs[:, 1:] - inputs[:, :-1]])
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def first_channel() -> keras.Model:
    """One feature in a branch of its own."""
    inputs = keras.Input((6, 3))
    price, others = inputs[:, :, 0], inputs[..., 1:]
    x = layers.Concatenate()([layers.Dense(3)(price), layers.Flatten()(others)])
    return keras.Model(inputs, layers.Dense(1)(x))


def steps_by_model() -> keras.Model:
    """A model applied to every step."""
    step = keras.Sequential([layers.Dense(4, activation="relu"), layers.Dense(2)])
    inputs = keras.Input((6, 3))
    x = layers.TimeDistributed(step)(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def windows_by_convolution() -> keras.Model:
    """A convolution over every window of a series of windows."""
    inputs = keras.Input((3, 8, 2))
    x = layers.TimeDistributed(layers.Conv1D(3, 3, activation="relu"))(inputs)
    x = layers.TimeDistributed(layers.MaxPooling1D())(x)
    x = layers.TimeDistributed(layers.Flatten())(x)
    return keras.Model(inputs, layers.Dense(3)(layers.GRU(3)(x)))


def dot_attention() -> keras.Model:
    """Attention out of Dot and Softmax layers."""
    inputs = keras.Input((5, 4))
    query, key = layers.Dense(3)(inputs), layers.Dense(3)(inputs)
    weights = layers.Softmax()(layers.Dot(axes=(2, 2))([query, key]))
    x = layers.Dot(axes=(2, 1))([weights, inputs])
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def matrix_attention() -> keras.Model:
    """The same by operators."""
    inputs = keras.Input((5, 4))
    query, key = layers.Dense(3)(inputs), layers.Dense(3)(inputs)
    scores = ops.matmul(query, ops.transpose(key, (0, 2, 1))) / 2.0
    x = ops.matmul(ops.softmax(scores, axis=-1), inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))
