"""Folding batch normalizations into the layers before them, and back."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from quantization.models.convert import quantize, read_quantizers
from quantization.models.fold import fold, foldable_pairs, unfold
from quantization.specs.parse import parse_quantizer

_RNG = np.random.default_rng(7)


def _randomized(model: keras.Model) -> keras.Model:
    """The model with weights that are nowhere special; variances stay positive."""
    model.set_weights([_RNG.uniform(0.2, 1.5, weight.shape).astype(np.float32) for weight in model.weights])
    return model


def _branched() -> keras.Model:
    """Pairs in a row, on a branch, without bias, depthwise; a normalization that cannot be folded at each end."""
    inputs = keras.Input((8, 8, 2), name="in")
    x = keras.layers.BatchNormalization(name="first")(inputs)
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="c1")(x)
    x = keras.layers.BatchNormalization(name="n1")(x)
    x = keras.layers.Activation("relu", name="a1")(x)
    left = keras.layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="d1")(x)
    left = keras.layers.BatchNormalization(scale=False, name="n2")(left)
    right = keras.layers.Conv2D(8, 1, name="c2")(x)
    right = keras.layers.BatchNormalization(center=False, epsilon=0.1, name="n3")(right)
    x = keras.layers.Add(name="add")([left, right])
    shared = keras.layers.Conv2D(8, 1, name="read_twice")(x)
    x = keras.layers.Add(name="add2")([keras.layers.BatchNormalization(name="n4")(shared), shared])
    x = keras.layers.Flatten(name="flat")(x)
    x = keras.layers.Dense(5, activation="relu", name="not_linear")(x)
    x = keras.layers.BatchNormalization(name="n5")(x)
    x = keras.layers.Dense(3, name="head")(x)
    return _randomized(keras.Model(inputs, keras.layers.BatchNormalization(name="n6")(x)))


def _sequential() -> keras.Model:
    return _randomized(
        keras.Sequential(
            [
                keras.Input((9, 2)),
                keras.layers.Conv1D(4, 3, name="c"),
                keras.layers.BatchNormalization(name="n"),
                keras.layers.Activation("relu", name="a"),
                keras.layers.Flatten(name="f"),
                keras.layers.Dense(3, name="d"),
                keras.layers.BatchNormalization(name="m"),
            ]
        )
    )


_MODELS = {"branched": _branched, "sequential": _sequential}
_PAIRS = {
    "branched": {"c1": "n1", "d1": "n2", "c2": "n3", "head": "n6"},
    "sequential": {"c": "n", "d": "m"},
}


def _predict(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model(x, training=False)))


def _inputs(model: keras.Model) -> np.ndarray:
    return _RNG.normal(size=(4, *model.input_shape[1:])).astype(np.float32)


@pytest.mark.parametrize("name", _MODELS)
def test_exactly_the_linear_layers_read_by_one_normalization_are_pairs(name: str) -> None:
    assert foldable_pairs(_MODELS[name]()) == _PAIRS[name]


@pytest.mark.parametrize("mode", ["ema_stats_folding", "batch_stats_folding"])
@pytest.mark.parametrize("name", _MODELS)
def test_folding_keeps_the_outputs(name: str, mode: str) -> None:
    model = _MODELS[name]()
    x = _inputs(model)
    np.testing.assert_allclose(
        _predict(fold(model, folding_mode=mode), x), _predict(model, x), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", _MODELS)
def test_folding_takes_the_normalizations_out(name: str) -> None:
    model = _MODELS[name]()
    remaining = {layer.name for layer in model.layers} - set(_PAIRS[name].values())
    assert {layer.name for layer in fold(model).layers} == remaining


@pytest.mark.parametrize("name", _MODELS)
def test_unfolding_keeps_the_outputs(name: str) -> None:
    model = _MODELS[name]()
    folded = fold(model)
    x = _inputs(model)
    np.testing.assert_allclose(_predict(unfold(folded), x), _predict(folded, x), rtol=1e-4, atol=1e-4)


def test_a_folded_layer_keeps_its_quantizers_and_computes_what_it_unfolds_to() -> None:
    kernel = parse_quantizer("quantized_bits(4,0,1)")
    bias = parse_quantizer("quantized_bits(6,2)")
    model = _randomized(
        quantize(_sequential(), {"c": {"kernel": kernel, "bias": bias}, "d": {"kernel": kernel}})
    )
    folded = fold(model)
    assert read_quantizers(folded) == {"c": {"kernel": kernel, "bias": bias}, "d": {"kernel": kernel}}
    x = _inputs(model)
    np.testing.assert_allclose(_predict(unfold(folded), x), _predict(folded, x), rtol=1e-5, atol=1e-5)


def test_frozen_statistics_do_not_move() -> None:
    model: Any = fold(_sequential(), ema_freeze_delay=0)
    x = _inputs(model)
    for _ in range(2):  # the steps that still train the statistics: iterations -1 and 0
        model(x, training=True)
    before = model.get_layer("c").batchnorm.get_weights()
    model(x * 3, training=True)
    np.testing.assert_array_equal(before, model.get_layer("c").batchnorm.get_weights())
