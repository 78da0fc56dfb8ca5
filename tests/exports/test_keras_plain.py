"""The format `keras_plain`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import keras
import numpy as np
import pytest
from keras import layers

from quantization.export.writers.keras_plain import NotPlain, plain_model
from quantization.layers import QuantizedLayer
from quantization.models.convert import quantize
from quantization.models.fold import fold
from quantization.specs.parse import parse_quantizer
from tests.exports.branches import GRIDS, SCALED, STEPS, WEIGHTS, activations, numbers, weights
from tests.exports.contract import ExportContract
from tests.exports.models import KERNEL, quantized


def _shiftmax() -> keras.Model:
    x = layers.Input((4, 6), name="image")
    model = keras.Model(x, layers.MultiHeadAttention(2, 3, name="attention")(x, x))
    config = quantize(model, {"attention": {"kernel": parse_quantizer(KERNEL)}}).get_config()
    config["layers"][1]["config"]["shiftmax"] = True
    return keras.Model.from_config(config)


def _inner_function() -> keras.Model:
    x = layers.Input((4, 6), name="image")
    return quantized(
        keras.Model(x, layers.GRU(3, name="gru")(x)), {"gru": {"activation": "quantized_tanh(4)"}}
    )


def _range_of_data() -> keras.Model:
    x = layers.Input((6,), name="image")
    return quantized(
        keras.Model(x, layers.Activation("linear", name="act")(x)), {"act": {"activation": "max(4)"}}
    )


class TestKerasPlain(ExportContract):
    name = "keras_plain"
    refuses: ClassVar = {
        "a quantizer inside a loop": (_inner_function, "gru", "leave the slot out"),
        "a range of the data": (_range_of_data, "act", "follows the data"),
    }


def test_a_softmax_by_shifts_is_refused() -> None:
    with pytest.raises(NotPlain, match="a softmax by shifts"):
        plain_model(_shiftmax())


def _equal(model: keras.Model, x: np.ndarray, tmp_path: Path) -> None:
    """The plain form computes the same after it is saved and read, and has no layer of fewbits."""
    plain = plain_model(model)
    assert not any(isinstance(layer, QuantizedLayer) for layer in plain.layers)
    plain.save(tmp_path / "plain.keras")
    read = keras.models.load_model(tmp_path / "plain.keras")
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(read(x, training=False)),
        keras.ops.convert_to_numpy(model(x, training=False)),
    )


@pytest.mark.parametrize("texts", [GRIDS, STEPS], ids=["grids", "steps"])
def test_every_quantizer_of_activations_is_an_operation(texts: Sequence[str], tmp_path: Path) -> None:
    _equal(activations(texts), numbers(), tmp_path)


@pytest.mark.parametrize("texts", [WEIGHTS, SCALED], ids=["weights", "scaled"])
def test_every_quantizer_of_weights_is_in_the_weights(texts: Sequence[str], tmp_path: Path) -> None:
    _equal(weights(texts), numbers(), tmp_path)


def test_layers_of_every_sort_have_a_plain_form(tmp_path: Path) -> None:
    x = layers.Input((8, 6), name="image")
    y = layers.BatchNormalization(name="norm")(x)
    y = layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="both")(y)
    y = layers.GRU(4, return_sequences=True, name="gru")(y)
    y = layers.Conv1DTranspose(4, 3, name="up")(y)
    y = layers.PReLU(name="slopes")(y)
    y = layers.LayerNormalization(name="layer_norm")(y)
    y = layers.MultiHeadAttention(2, 3, name="attention")(y, y)
    y = layers.ReLU(name="fire")(y)
    y = layers.GlobalAveragePooling1D(name="mean")(y)
    grid = {"activation": "quantized_bits(6,2,1)"}
    loop = {"kernel": KERNEL, "recurrent_kernel": KERNEL}
    model = quantized(
        keras.Model(x, y),
        {
            "image": grid,
            "norm": {"inverse": "quantized_bits(8,2,1)", "mean": "quantized_bits(4,1,1)"} | grid,
            "both": loop,
            "gru": loop,
            "up": {"kernel": KERNEL} | grid,
            "slopes": {"alpha": "quantized_bits(4,1,1)"} | grid,
            "layer_norm": {"gamma": "quantized_bits(4,1,1)"} | grid,
            "attention": {"kernel": KERNEL},
            "fire": {"activation": "quantized_relu(4,2)"},
            "mean": {"average": "quantized_bits(8,0,1)"} | grid,
        },
    )
    _equal(model, np.random.default_rng(0).normal(0, 1, (5, 8, 6)).astype(np.float32), tmp_path)


@pytest.mark.parametrize("kind", ["Conv2D", "DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose"])
def test_folded_layers_hold_the_folded_kernel(kind: str, tmp_path: Path) -> None:
    x = layers.Input((6, 6, 2), name="image")
    width = {} if kind == "DepthwiseConv2D" else {"filters": 3}
    y = getattr(layers, kind)(kernel_size=3, name="conv", use_bias=False, **width)(x)
    model = fold(keras.Model(x, layers.BatchNormalization(name="norm")(y)))
    folded = quantized(model, {"conv": {"kernel": KERNEL, "activation": "quantized_relu(4,2)"}})
    for variable in folded.get_layer("conv").batchnorm.weights:
        variable.assign(np.random.default_rng(1).uniform(0.5, 1.5, variable.shape))
    _equal(folded, np.random.default_rng(0).uniform(0, 1, (5, 6, 6, 2)).astype(np.float32), tmp_path)
