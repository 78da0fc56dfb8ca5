"""Quantizers whose bits are trained compute what the candidates compute, and their bits have gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from quantization.quantizers import build_quantizer
from quantization.specs.fixed_point import BitsChoice, FixedPoint, fixed_point
from quantization.specs.parse import parse_quantizer
from quantization.switching.trained_bits import TrainedBits, TrainedBitsQuantizer

VALUES = np.concatenate(
    [np.random.default_rng(1).normal(0, 2, 500), np.arange(-40, 41) / 16, [0.0, -1.0, 1.0, 3.999, -8.0]]
).astype(np.float32)

GRIDS = [
    "quantized_bits(4,0,1)",
    "quantized_bits(8,3,1)",
    "quantized_bits(3,0,0,alpha=1.0)",
    "quantized_bits(5,1,0,alpha=1.0)",
    "quantized_bits(6,2,1)",
    "quantized_bits(2,4,1)",
    "quantized_linear(5,1,1)",
    "quantized_linear(4,0,0,alpha=1.0)",
    "quantized_relu(1,1)",
    "quantized_relu(4,2)",
    "quantized_relu(3,0)",
    "quantized_relu(2,4)",
]

OTHERS = [
    "quantized_bits(1,0,1)",
    "quantized_bits(4,0,1,alpha='auto')",
    "quantized_bits(4,0,1,alpha=2.0)",
    "quantized_bits(4,0,1,use_stochastic_rounding=True)",
    "quantized_relu(4,2,negative_slope=0.25)",
    "quantized_relu(4,2,use_sigmoid=True)",
    "binary()",
    "ternary()",
    "quantized_po2(4)",
    "quantized_tanh(4)",
]


def choice(*texts: str, slot: str = "activation") -> BitsChoice:
    result = BitsChoice.among("choice", ("layer",), slot, map(parse_quantizer, texts))
    assert result is not None
    return result


def trained(*texts: str, shape: tuple[int, ...] = ()) -> tuple[TrainedBits, TrainedBitsQuantizer]:
    bits = TrainedBits(choice(*texts), shape)
    return bits, TrainedBitsQuantizer(bits, "activation", None)


def put(bits: TrainedBits, index: int) -> None:
    for variable, value in zip(bits.variables, bits.initial(index), strict=True):
        variable.assign(value)


def value_and_gradient(function: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    with tf.GradientTape() as tape:
        inputs = tf.convert_to_tensor(x)
        tape.watch(inputs)
        outputs = function(inputs, True)
    return outputs.numpy(), tape.gradient(outputs, inputs).numpy()


@pytest.mark.parametrize("text", GRIDS)
def test_at_the_bits_of_a_candidate_value_and_gradient_are_the_candidate_s(text: str) -> None:
    others = [other for other in GRIDS if other.partition("(")[0] == text.partition("(")[0]]
    bits, quantizer = trained(*others)
    spec = parse_quantizer(text)
    put(bits, bits.choice.specs.index(spec))
    value, gradient = value_and_gradient(quantizer, VALUES)
    plain_value, plain_gradient = value_and_gradient(build_quantizer(spec), VALUES)
    np.testing.assert_array_equal(value, plain_value)
    np.testing.assert_array_equal(gradient, plain_gradient)


@pytest.mark.parametrize("text", GRIDS)
def test_a_grid_has_the_levels_of_its_quantizer(text: str) -> None:
    spec = parse_quantizer(text)
    grid = fixed_point(spec, "activation")
    assert isinstance(grid, FixedPoint)
    levels = np.arange(grid.low, grid.high + 1) * 2.0**-grid.fraction_bits
    np.testing.assert_array_equal(levels, build_quantizer(spec).levels())
    assert grid.bits == spec.data_type().bits


@pytest.mark.parametrize("text", OTHERS)
def test_what_is_no_plain_grid_is_none(text: str) -> None:
    assert fixed_point(parse_quantizer(text), "activation") is None


def test_a_kernel_without_an_alpha_has_an_automatic_scale() -> None:
    spec = parse_quantizer("quantized_bits(4,0,1)")
    assert fixed_point(spec, "kernel") is None
    assert fixed_point(spec, "bias") is not None


def test_weights_with_bits_of_their_own_are_on_the_grid_of_the_tensor() -> None:
    bits, quantizer = trained("quantized_bits(4,0,1)", "quantized_bits(8,0,1)", shape=VALUES.shape)
    put(bits, 1)
    widths = np.random.default_rng(2).integers(-3, 8, VALUES.shape).astype(np.float32)
    bits.fraction.assign(widths)
    value = ops.convert_to_numpy(quantizer(VALUES, True))
    np.testing.assert_array_equal(value * 2.0**widths, np.rint(value * 2.0**widths))
    np.testing.assert_array_equal(value, ops.convert_to_numpy(build_quantizer(bits.choice.specs[1])(value)))
    assert not value[widths < 0].any()  # of 1 bit above all that the tensor holds: pruned


def test_a_bit_more_halves_the_error_and_doubles_the_range() -> None:
    bits, quantizer = trained("quantized_bits(4,0,1)", "quantized_bits(8,3,1)")
    put(bits, 0)
    x = np.array([0.3, -0.2, 5.0, -5.0], np.float32)
    with tf.GradientTape() as tape:
        variables = [variable.value for variable in bits.variables]
        tape.watch(variables)
        value = quantizer(x, True)
        upstream = tf.constant([1.0, 10.0, 100.0, 1000.0])
        loss = tf.reduce_sum(value * upstream)
    by_fraction, by_integer = tape.gradient(loss, variables)
    error = np.array([0.3 - 0.25, -0.2 + 0.25])
    assert float(by_fraction) == pytest.approx(np.log(2) * float(error @ [1.0, 10.0]), rel=1e-4)
    assert float(by_integer) == pytest.approx(np.log(2) * (100 * 0.875 - 1000 * 0.875), rel=1e-4)


def test_what_a_tensor_uses_falls_with_weights_and_bits() -> None:
    bits, quantizer = trained("quantized_bits(8,0,1)", shape=(2, 1))
    x = np.array([[0.5, -0.25, 0.0], [0.0, 0.0, 0.0]], np.float32)
    bits.fraction.assign(np.array([[3.0], [7.0]], np.float32))
    quantizer(x, True)
    assert float(quantizer.used) == pytest.approx(np.log2(1 + 0.5 * 8))
    bits.fraction.assign(np.array([[2.0], [7.0]], np.float32))
    quantizer(x, True)
    assert float(quantizer.used) == pytest.approx(np.log2(1 + 0.5 * 4))


def test_bits_stay_near_the_candidates() -> None:
    bits, _ = trained("quantized_bits(4,0,1)", "quantized_bits(8,3,1)")
    lowest, highest = (float(bits.fraction.constraint(np.float32(value))) for value in (-9, 9))
    assert (round(lowest), round(highest)) == (3, 4)
