"""Where training starts: weights taken over through changed widths, and what calibration may move."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest

from costmodel.network import read_network
from quantization.models.convert import float_model, quantize, read_quantizers
from quantization.specs.parse import parse_quantizer
from search.networks.zoo import zoo_config
from search.space.widths import tunable_groups, widths_of
from search.training.channel_mapping import slices
from search.training.warm_start import adopt_weights, calibrate

GRIDS = {"fixed": "quantized_bits(4,0,1,alpha=1.0)", "trained": "trainable_std(bits=4)"}


def branched() -> dict[str, Any]:
    """Every way a channel takes: an addition, a concatenation, a depthwise and a separable layer, a Flatten."""
    layers = keras.layers
    inputs = layers.Input((6, 6, 3), name="inputs")
    a = layers.Conv2D(8, 3, padding="same", name="a")(inputs)
    a = layers.ReLU(name="a_relu")(layers.BatchNormalization(name="a_bn")(a))
    b = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="deep")(a)
    b = layers.SeparableConv2D(8, 3, padding="same", name="b")(b)
    added = layers.Add(name="added")([a, b])
    c = layers.MaxPooling2D(name="pool")(layers.Conv2D(6, 1, activation="relu", name="c")(added))
    d = layers.AveragePooling2D(2, name="mean")(layers.Conv2DTranspose(4, 1, name="d")(added))
    joined = layers.Flatten(name="flat")(layers.Concatenate(name="joined")([c, d]))
    hidden = layers.Dense(12, activation="relu", name="hidden")(joined)
    model = keras.Model(inputs, layers.Dense(3, name="scores")(hidden), name="branched")
    return dict(json.loads(model.to_json()))


def trained(config: Mapping[str, Any], seed: int = 3) -> keras.Model:
    """A float model of random weights, without biases or shifts: a filter of zeros gives nothing."""
    keras.utils.set_random_seed(seed)
    return float_model(config)


def examples(model: keras.Model, count: int = 32) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, *model.inputs[0].shape[1:])).astype("float32")


def called(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return np.asarray(model(x, training=False))


def resized(config: Mapping[str, Any], multiple: float) -> dict[str, int]:
    network = read_network(config)
    groups, _ = tunable_groups(network)
    return {name: max(int(widths_of(network)[name] * multiple), 1) for group in groups for name in group}


def silence(model: keras.Model, config: Mapping[str, Any], widths: Mapping[str, int]) -> None:
    """Make the filters that will be dropped those of zeros: the last ones of each layer."""
    for name, width in widths.items():
        layer = model.get_layer(name)
        last = layer.pointwise_kernel if hasattr(layer, "pointwise_kernel") else layer.kernel
        kernel = np.array(last)
        if "Transpose" in type(layer).__name__:
            kernel[..., width:, :] = 0
        else:
            kernel[..., width:] = 0
        last.assign(kernel)


@pytest.mark.parametrize("name", ["branched", "digits_cnn", "jet_mlp"])
def test_a_narrower_network_computes_the_same_when_what_is_dropped_is_zero(name: str) -> None:
    config = branched() if name == "branched" else zoo_config(name)
    widths = resized(config, 0.5)
    source = trained(config)
    silence(source, config, widths)
    target = quantize(config, {}, widths)
    adopted = adopt_weights(source, target)
    assert adopted == [layer.name for layer in target.layers if layer.weights]
    x = examples(source)
    np.testing.assert_allclose(called(target, x), called(source, x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["branched", "digits_cnn", "jet_mlp"])
def test_a_wider_network_computes_the_same_until_it_is_trained(name: str) -> None:
    config = branched() if name == "branched" else zoo_config(name)
    source = trained(config)
    target = quantize(config, {}, resized(config, 1.5))
    adopt_weights(source, target)
    x = examples(source)
    np.testing.assert_allclose(called(target, x), called(source, x), rtol=1e-4, atol=1e-5)
    fresh = np.asarray(target.layers[1].kernel)[..., -1]
    assert np.abs(fresh).max() > 0  # a filter of zeros would never learn


def test_the_filters_of_the_largest_magnitude_are_kept_in_their_order_and_tied_layers_keep_the_same() -> None:
    config = branched()
    source, target = (
        read_network(config),
        read_network(quantize(config, {}, resized(config, 0.5)).get_config()),
    )
    weighed = {name: np.ones(width) for name, width in widths_of(source).items()}
    weighed["a"] = np.array([0, 9, 0, 0, 8, 0, 7, 6.0])
    kept_channels = slices(source, target, weighed.__getitem__)
    assert kept_channels["a"].output is not None
    assert kept_channels["a"].output.tolist() == kept_channels["b"].output.tolist() == [1, 4, 6, 7]  # type: ignore[union-attr]
    assert kept_channels["deep"].output.tolist() == [2, 3, 8, 9, 12, 13, 14, 15]  # type: ignore[union-attr]
    assert kept_channels["joined"].output.tolist() == [0, 1, 2, 6, 7]  # type: ignore[union-attr]


def test_what_cannot_be_followed_starts_anew() -> None:
    layers = keras.layers
    inputs = layers.Input((4, 6), name="inputs")
    x = layers.Permute((2, 1), name="turned")(layers.Dense(8, name="first")(inputs))
    model = keras.Model(inputs, layers.Dense(3, name="last")(layers.LSTM(5, name="memory")(x)))
    source = trained(model.get_config())
    target = quantize(model.get_config(), {}, {"first": 4})
    assert adopt_weights(source, target) == ["first", "last"]


# --- calibration ---------------------------------------------------------------------------------------------------


def quantized(config: Mapping[str, Any], grid: str) -> tuple[keras.Model, keras.Model]:
    """A float model with weights far from a grid of one, and its quantized twin."""
    source = trained(config)
    for name in ("conv2d_0", "conv2d_1"):
        layer = source.get_layer(name)
        layer.kernel.assign(layer.kernel * 0.1)
    x = examples(source)
    for layer in source.layers:  # statistics as training would leave them
        if isinstance(layer, keras.layers.BatchNormalization):
            seen = np.asarray(keras.Model(source.inputs[0], layer.input)(x))
            layer.moving_mean.assign(seen.mean(axis=(0, 1, 2)))
            layer.moving_variance.assign(seen.var(axis=(0, 1, 2)))
    chosen = {
        layer.name: {"kernel": parse_quantizer(GRIDS[grid])}
        for layer in source.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense)
    }
    target = quantize(config, chosen)
    adopt_weights(source, target)
    return source, target


@pytest.mark.parametrize("grid", GRIDS)
def test_a_calibrated_network_is_nearer_to_the_float_one_and_has_the_quantizers_it_had(grid: str) -> None:
    source, target = quantized(zoo_config("digits_cnn"), grid)
    chosen, x = read_quantizers(target), examples(source, 128)
    exact, before = called(source, x), called(target, x)
    calibrate(target, x)
    after = called(target, x)
    assert np.square(after - exact).mean() < 0.8 * np.square(before - exact).mean()
    assert read_quantizers(target) == chosen


def test_a_scale_that_a_normalization_takes_back_out_changes_nothing_without_quantizers() -> None:
    source, target = quantized(zoo_config("digits_cnn"), "fixed")
    calibrate(target, examples(source))
    plain = float_model(zoo_config("digits_cnn"))
    adopt_weights(target, plain)
    kernel, was = (np.asarray(model.get_layer("conv2d_1").kernel) for model in (plain, source))
    ratio = kernel / was
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:1, :1, :1], ratio.shape), rtol=1e-5)
    assert ratio.min() > 1.5
