"""Small networks on images as users write them, each by a plain function."""

from __future__ import annotations

import keras
from keras import layers, ops


def sequential_cnn() -> keras.Model:
    """The first example of every tutorial."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )


def rescaled_cnn() -> keras.Model:
    """Bytes divided by 255 in the model."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling(1.0 / 255),
            layers.Conv2D(4, 3, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(3),
        ]
    )


def rescaled_to_signs() -> keras.Model:
    """Bytes brought to -1 ... 1."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1.0 / 127.5, offset=-1)(inputs)
    x = layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def rescaled_by_operators() -> keras.Model:
    """The same with operators."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu")(inputs / 127.5 - 1.0)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def normalized_images() -> keras.Model:
    """Mean and variance of each channel stated, as for ImageNet."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1.0 / 255)(inputs)
    x = layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.0524, 0.0502, 0.0506])(x)
    x = layers.Rescaling([0.9, 1.0, 1.1])(x)
    x = layers.Conv2D(4, 3, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def augmented_cnn() -> keras.Model:
    """Augmentation as a nested model before everything else."""
    augmentation = keras.Sequential(
        [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.1)]
    )
    inputs = keras.Input((8, 8, 3))
    x = augmentation(inputs)
    x = layers.Rescaling(1.0 / 255)(x)
    x = layers.Conv2D(4, 3, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def augmented_sequential() -> keras.Model:
    """Augmentation layers in a row, noise behind them."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.RandomTranslation(0.1, 0.1),
            layers.RandomContrast(0.1),
            layers.RandomBrightness(0.1, value_range=(0, 1)),
            layers.GaussianNoise(0.1),
            layers.Conv2D(4, 3, activation="relu"),
            layers.SpatialDropout2D(0.2),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def batch_normalized() -> keras.Model:
    """Convolution, normalization, ReLU layer."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, use_bias=False)(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU()(x)
    x = layers.Conv2D(4, 3)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Activation("relu")(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))


def group_normalized() -> keras.Model:
    """Group normalization in place of batch normalization."""
    inputs = keras.Input((8, 8, 1))
    x = layers.GroupNormalization(2)(layers.Conv2D(4, 3)(inputs))
    x = layers.ReLU(max_value=6)(x)
    x = layers.GroupNormalization(-1)(layers.Conv2D(4, 3)(x))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def residual() -> keras.Model:
    """A block whose input is added to its output."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    y = layers.Conv2D(4, 3, padding="same")(x)
    x = layers.Activation("relu")(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def residual_by_operators() -> keras.Model:
    """The same with `+` and functions."""
    inputs = keras.Input((8, 8, 1))
    x = keras.activations.relu(layers.Conv2D(4, 3, padding="same")(inputs))
    x = ops.relu(x + layers.Conv2D(4, 3, padding="same")(x) * 0.5)
    x = ops.mean(x, axis=(1, 2))
    return keras.Model(inputs, layers.Dense(3)(x))


def squeeze_and_excitation() -> keras.Model:
    """Channels weighted by a gate."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(2, 1, activation="relu")(gate)
    gate = layers.Conv2D(4, 1, activation="hard_sigmoid")(gate)
    x = layers.Multiply()([x, gate])
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def mobile() -> keras.Model:
    """Depthwise and pointwise convolutions with ReLU6 and explicit padding."""
    inputs = keras.Input((8, 8, 3))
    x = layers.ZeroPadding2D(((0, 1), (0, 1)))(inputs)
    x = layers.DepthwiseConv2D(3, strides=2, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    x = layers.Conv2D(4, 1, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(layers.GlobalMaxPooling2D()(x)))


def separable() -> keras.Model:
    """A separable convolution and a leaky function."""
    inputs = keras.Input((8, 8, 3))
    x = layers.SeparableConv2D(4, 3)(inputs)
    x = layers.LeakyReLU(negative_slope=0.125)(x)
    x = layers.AveragePooling2D(2)(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def dense_block() -> keras.Model:
    """Outputs joined to what follows, as in DenseNet."""
    inputs = keras.Input((8, 8, 2))
    x = inputs
    for _ in range(2):
        y = layers.Conv2D(2, 3, padding="same", activation="relu")(layers.BatchNormalization()(x))
        x = layers.Concatenate()([x, y])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def inception() -> keras.Model:
    """Branches of several kernel sizes."""
    inputs = keras.Input((8, 8, 1))
    branches = [layers.Conv2D(2, size, padding="same", activation="relu")(inputs) for size in (1, 3, 5)]
    branches.append(layers.MaxPooling2D(3, strides=1, padding="same")(inputs))
    x = layers.concatenate(branches)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def parametric_functions() -> keras.Model:
    """PReLU, ELU and Softmax as layers."""
    inputs = keras.Input((8, 8, 1))
    x = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(4, 3)(inputs))
    x = layers.ELU()(layers.Conv2D(4, 3)(x))
    return keras.Model(inputs, layers.Softmax()(layers.Dense(3)(layers.Flatten()(x))))


def functions_as_layers() -> keras.Model:
    """Layers given as functions of layers."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, activation=layers.LeakyReLU(negative_slope=0.1)),
            layers.Flatten(),
            layers.Dense(4, activation=keras.activations.silu),
            layers.Dense(3, activation=layers.Softmax()),
        ]
    )


def cropped() -> keras.Model:
    """The middle of a padded image."""
    inputs = keras.Input((10, 10, 1))
    x = layers.Cropping2D(1)(layers.ZeroPadding2D(1)(inputs))
    x = layers.CenterCrop(6, 6)(x)
    x = layers.Conv2D(4, 3, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def resized() -> keras.Model:
    """Images brought to a fixed size in the model."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Resizing(6, 6),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def autoencoder() -> keras.Model:
    """Down and up again by transposed convolutions."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(2, 3, strides=2, padding="same", activation="relu")(inputs)
    x = layers.Conv2DTranspose(2, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(inputs, layers.Conv2D(1, 3, padding="same")(x))


def unet() -> keras.Model:
    """Segmentation into three classes: a class for each position."""
    inputs = keras.Input((8, 8, 1))
    skip = layers.Conv2D(2, 3, padding="same", activation="relu")(inputs)
    x = layers.MaxPooling2D()(skip)
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = layers.UpSampling2D()(x)
    x = layers.Concatenate()([x, skip])
    return keras.Model(inputs, layers.Conv2D(3, 1, activation="softmax")(x))


def foreground() -> keras.Model:
    """Segmentation into two classes by a single score for each position."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(2, 3, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


def nested_base() -> keras.Model:
    """Transfer learning: a frozen base called at inference, a new head."""
    base_inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, use_bias=False)(base_inputs)
    x = layers.BatchNormalization()(x)
    base = keras.Model(base_inputs, layers.ReLU()(x), name="base")
    base.trainable = False
    inputs = keras.Input((8, 8, 3))
    x = base(inputs, training=False)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(3)(x))


def nested_sequential() -> keras.Model:
    """A Sequential of blocks that are Sequential."""

    def block(filters: int, name: str) -> keras.Model:
        return keras.Sequential(
            [layers.Conv2D(filters, 3), layers.BatchNormalization(), layers.Activation("relu")], name=name
        )

    model = keras.Sequential(
        [keras.Input((8, 8, 1)), block(2, "first"), block(4, "second"), layers.Flatten(), layers.Dense(3)]
    )
    model.build((None, 8, 8, 1))
    return model


def frozen_layer() -> keras.Model:
    """One layer that is not trained."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, activation="relu", trainable=False)(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def volumes() -> keras.Model:
    """Convolutions of three axes."""
    inputs = keras.Input((4, 4, 4, 1))
    x = layers.Conv3D(2, 2, activation="relu")(inputs)
    x = layers.MaxPooling3D()(x)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def frames() -> keras.Model:
    """The same convolution for every frame, then a recurrent layer."""
    inputs = keras.Input((3, 8, 8, 1))
    x = layers.TimeDistributed(layers.Conv2D(2, 3, activation="relu"))(inputs)
    x = layers.TimeDistributed(layers.MaxPooling2D())(x)
    x = layers.TimeDistributed(layers.Flatten())(x)
    return keras.Model(inputs, layers.Dense(3)(layers.LSTM(4)(x)))


def patches() -> keras.Model:
    """A small vision transformer."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 4, strides=4)(inputs)
    x = layers.Reshape((4, 4))(x)
    y = layers.LayerNormalization(epsilon=1e-6)(x)
    x = x + layers.MultiHeadAttention(2, 2)(y, y)
    y = layers.Dense(8, activation="gelu")(layers.LayerNormalization()(x))
    x = layers.Add()([x, layers.Dense(4)(y)])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))
