"""Normalizations folded into the layers before them, in formats that write kernels: the folded ones are written."""

from __future__ import annotations

import functools
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from quantization.export.context import ExportContext
from quantization.export.proof import model_outputs
from quantization.export.writers.hls4ml import write_network
from quantization.export.writers.qkeras import write_source
from quantization.models.fold import fold
from tests.exports import test_onnx
from tests.exports.models import INPUT, RELU, examples, quantized

KERNEL = "quantized_bits(4,0,1,alpha='auto_po2')"
BIAS = "quantized_bits(8,2,1)"


@functools.cache
def folded() -> keras.Model:
    """A convolution, a depthwise one and a dense layer, each with a normalization folded in."""
    x = layers.Input((6, 6, 2), name="image")
    y = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(x)
    y = layers.Activation("relu", name="fire")(layers.BatchNormalization(name="bn")(y))
    y = layers.DepthwiseConv2D(3, strides=2, padding="same", name="depthwise")(y)
    y = layers.ReLU(name="fire_2")(layers.BatchNormalization(name="bn_2")(y))
    y = layers.Dense(3, name="scores")(layers.Flatten(name="flat")(y))
    model = keras.Model(x, layers.BatchNormalization(name="bn_3")(y))
    weights = {"kernel": KERNEL, "bias": BIAS}
    slots = {"conv": {"kernel": KERNEL}, "depthwise": weights, "scores": weights}
    model = quantized(model, INPUT | slots | {name: {"activation": RELU} for name in ("fire", "fire_2")})
    whole = fold(model)
    assert [layer.name for layer in whole.layers if hasattr(layer, "batchnorm")] == [*slots]
    result = quantized(whole, {"conv": {"kernel": KERNEL, "bias": BIAS}}, seed=4)
    for weight in result.weights:
        if weight.name == "beta":  # so that ReLUs pass most numbers
            weight.assign(np.full(weight.shape, 0.9))
    return result


@pytest.mark.parametrize("name", ["onnx", "qonnx"])
def test_the_folded_kernels_are_computed_with(name: str, tmp_path: Path) -> None:
    x = examples(folded(), 4)
    actual, expected = test_onnx.both(name, folded(), x, tmp_path)
    np.testing.assert_array_equal(actual, expected)


def test_the_folded_kernels_are_the_arrays_of_qkeras(tmp_path: Path) -> None:
    written = write_source(folded(), tmp_path)
    assert written.inexact == {}
    arrays = np.load(tmp_path / "weights.npz")
    for layer in folded().layers:
        if hasattr(layer, "batchnorm"):
            for index, slot in enumerate(("kernel", "bias")):
                codes, scale = layer.quantized_weights()[slot]
                np.testing.assert_array_equal(
                    arrays[f"{layer.name}/{index}"], codes.astype(np.float32) * scale
                )


def test_the_folded_kernels_are_the_constants_of_hls4ml(tmp_path: Path) -> None:
    x = examples(folded())
    written = write_network(folded(), tmp_path, ExportContext(x))
    assert written.inexact == {}
    arrays = np.load(tmp_path / "network.npz")
    for name, key in (("conv", "weight_data"), ("depthwise", "depthwise_data"), ("scores", "weight_data")):
        codes, scale = folded().get_layer(name).quantized_weights()["kernel"]
        np.testing.assert_array_equal(arrays[f"{name}/{key}"], codes * np.float64(scale))


def test_what_is_compared_is_not_zero() -> None:
    [outputs] = model_outputs(folded(), examples(folded(), 4), "logits")
    assert len(np.unique(outputs)) > 6
