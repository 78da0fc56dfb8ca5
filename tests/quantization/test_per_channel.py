"""Layers whose weights have widths for each channel: numbers, gradients, files, integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers, ops

from quantization.integer.compile import integer_network
from quantization.layers import QuantizedConv2D, QuantizedDense
from quantization.quantizers import build_quantizer
from quantization.specs.parse import parse_quantizer
from quantization.specs.per_channel import QuantizedBitsPerChannel
from tests.exports.models import examples, quantized

X = np.random.default_rng(3).normal(0, 1.5, (5, 7, 3)).astype(np.float32)
MIXED = "quantized_bits([8,0,4],[1,0,-1])"


def alone(bits: int, integer: int, x: np.ndarray, options: str) -> np.ndarray:
    """What one width makes of a channel."""
    if not bits:
        return np.zeros_like(x)
    text = f"quantized_bits({bits},{integer},alpha=1.0,{options})"
    return np.asarray(build_quantizer(parse_quantizer(text))(x))


@given(
    st.lists(st.tuples(st.sampled_from([0, 2, 3, 8, 12]), st.integers(-2, 3)), min_size=3, max_size=3),
    st.booleans(),
    st.booleans(),
)
def test_a_channel_is_quantized_as_by_its_width_alone(
    pairs: list[tuple[int, int]], signed: bool, symmetric: bool
) -> None:
    bits, integers = zip(*pairs, strict=True)
    options = f"keep_negative={signed},symmetric={symmetric}"
    spec = QuantizedBitsPerChannel(
        channel_bits=bits, channel_integers=integers, keep_negative=signed, symmetric=symmetric
    )
    quantizer = build_quantizer(spec)
    expected = np.stack(
        [alone(width, integer, X[..., channel], options) for channel, (width, integer) in enumerate(pairs)],
        axis=-1,
    )
    np.testing.assert_array_equal(np.asarray(quantizer(X)), expected)
    codes, scale = quantizer.to_integers(X)
    np.testing.assert_array_equal((codes * scale).astype(np.float32), expected)
    assert np.isin(expected, quantizer.levels()).all()
    assert (quantizer.levels()[0], quantizer.levels()[-1]) == quantizer.range()


def gradient(function: Any, x: np.ndarray) -> np.ndarray:
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(lambda value: ops.sum(function(value, True) * X))(x))
    import tensorflow as tf

    with tf.GradientTape() as tape:
        inputs = tf.convert_to_tensor(x)
        tape.watch(inputs)
        total = ops.sum(function(inputs, True) * X)
    return np.asarray(tape.gradient(total, inputs))


def test_the_gradient_passes_in_every_channel() -> None:
    np.testing.assert_array_equal(gradient(build_quantizer(parse_quantizer(MIXED)), X), X)


def test_a_layer_keeps_its_widths_in_a_file(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            layers.Input((6, 6, 2)),
            QuantizedConv2D(3, 3, quantizers={"kernel": MIXED, "bias": MIXED}),
            layers.Flatten(),
            QuantizedDense(2, quantizers={"kernel": "quantized_bits([4,2],[0,1])"}),
        ]
    )
    x = np.random.default_rng(0).normal(size=(4, 6, 6, 2)).astype(np.float32)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(x)), np.asarray(model(x)))
    codes, scale = loaded.layers[0].quantized_weights()["kernel"]
    assert not codes[..., 1].any()
    assert np.abs(codes[..., 0]).max() > 7 >= np.abs(codes[..., 2]).max()
    np.testing.assert_array_equal(scale, [2.0**-6, 2.0, 2.0**-4])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: QuantizedDense(2, quantizers={"kernel": MIXED}).build((None, 4)),
            "lists 3 widths for a tensor of 2",
        ),
        (
            lambda: QuantizedDense(3, quantizers={"activation": MIXED}),
            "give the activation of Dense one width",
        ),
        (
            lambda: layers_of("SeparableConv2D")(3, 3, quantizers={"pointwise_kernel": MIXED}),
            "give the pointwise_kernel of SeparableConv2D one width",
        ),
    ],
)
def test_widths_that_do_not_fit_are_refused(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def layers_of(name: str) -> Any:
    from quantization.layers import QUANTIZED_LAYERS

    return QUANTIZED_LAYERS[name]


def test_integers_are_exact_with_a_point_for_each_channel() -> None:
    x = layers.Input((6, 6, 2), name="image")
    y = layers.Conv2D(3, 3, activation="relu", name="conv")(x)
    y = layers.Dense(2, name="scores")(layers.Flatten(name="flat")(y))
    weights = {"kernel": "quantized_bits([6,3],[0,1])", "bias": "quantized_bits([4,8],[1,3])"}
    slots = {
        "image": {"activation": "quantized_bits(6,1,1)"},
        "conv": {"kernel": MIXED, "bias": MIXED, "activation": "quantized_relu(5,2)"},
        "scores": weights,
    }
    model = quantized(keras.Model(x, y), slots)
    inputs = examples(model)
    network = integer_network(model)
    np.testing.assert_array_equal(network.logits(inputs).to_float(), np.asarray(model(inputs)))
