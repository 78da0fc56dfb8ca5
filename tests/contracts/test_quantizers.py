"""What every quantizer promises, shown of each of them."""

from __future__ import annotations

from typing import Any, Final

import keras
import numpy as np
import pytest
from keras import ops

from quantization.quantizers import QUANTIZERS, build_quantizer, floor_through
from quantization.specs.parse import KINDS, parse_quantizer
from tests.golden.libraries import gradients

_EXPRESSIONS: Final = [
    "quantized_bits(4,0,1)",
    "quantized_bits(4,1)",
    "quantized_bits(1)",
    "quantized_bits(5,2,keep_negative=False)",
    "quantized_bits(4,0,1,alpha=0.75)",
    "quantized_bits(4,alpha='auto')",
    "quantized_bits(3,alpha='auto_po2')",
    "quantized_bits(1,alpha='auto')",
    "quantized_bits(6,0,1,alpha='auto',keep_negative=False)",
    "quantized_bits(4,0,1,use_stochastic_rounding=1)",
    "quantized_bits(4,0,1,qnoise_factor=0.5)",
    "quantized_bits_per_channel([8,6,3],[0,1,2])",
    "quantized_bits_per_channel([4,2,1],[1,0,0],keep_negative=False)",
    "quantized_linear(4,1)",
    "quantized_linear(1)",
    "quantized_linear(4,alpha='auto')",
    "quantized_linear(4,alpha='auto_po2')",
    "quantized_relu(3,1)",
    "quantized_relu(6,2,negative_slope=0.25)",
    "quantized_relu(4,1,use_sigmoid=1)",
    "quantized_relu(6,4,is_quantized_clip=0,relu_upper_bound=6.0)",
    "quantized_relu(4,2,use_stochastic_rounding=1)",
    "quantized_ulaw(4,1)",
    "quantized_tanh(4)",
    "quantized_tanh(4,symmetric=1,use_real_tanh=1)",
    "quantized_sigmoid(4)",
    "quantized_sigmoid(4,use_real_sigmoid=1)",
    "quantized_hswish(6,2)",
    "quantized_po2(4)",
    "quantized_po2(4,1)",
    "quantized_po2(8)",
    "quantized_po2(4,quadratic_approximation=1)",
    "quantized_po2(4,log2_rounding='floor')",
    "quantized_relu_po2(4,4)",
    "quantized_relu_po2(4,negative_slope=0.25)",
    "binary",
    "binary(use_01=1,alpha=1.0)",
    "binary(alpha='auto')",
    "binary(alpha='auto_po2',use_stochastic_rounding=1)",
    "ternary",
    "ternary(alpha='auto')",
    "ternary(alpha='auto_po2',use_stochastic_rounding=1)",
    "stochastic_binary(alpha='auto')",
    "stochastic_binary",
    "stochastic_ternary(alpha='auto_po2')",
    "stochastic_ternary",
    "bernoulli",
    "bernoulli(alpha='auto')",
    "std(4)",
    "std_per_axis(4,2.0)",
    "trainable_std(4)",
    "max(8)",
    "max_per_axis(4)",
    "scale_factor(4,[4.0,8.0,2.0])",
    "discrete_relu(4)",
    "discrete_relu(2,0.5,1.0)",
]
#: Not the identity on their own levels: they apply a function, rescale their output, or measure their input.
_NOT_IDEMPOTENT: Final = (
    "quantized_hswish",
    "quantized_ulaw",
    "quantized_sigmoid",
    "use_sigmoid",
    "use_real_tanh",
    "negative_slope",
    "alpha",
    "quantized_linear(1",
    "use_01",
    "std",
    "qnoise",
    "max(",
    "max_per_axis",
    "discrete_relu(4)",
    "bernoulli",
)
_NOT_MONOTONE: Final = ("quantized_hswish",)
_RNG: Final = np.random.default_rng(11)
_X: Final = np.concatenate(
    [_RNG.normal(0, 0.5, (40, 3)), _RNG.normal(0, 5, (20, 3)), np.zeros((1, 3)), np.full((1, 3), 0.375)]
).astype(np.float32)


def _array(value: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(value))


def _quantizer(text: str) -> Any:
    return build_quantizer(parse_quantizer(text))


def test_every_kind_is_among_the_expressions_and_has_a_quantizer() -> None:
    assert {text.partition("(")[0] for text in _EXPRESSIONS} == set(KINDS) == set(QUANTIZERS)


@pytest.mark.parametrize("text", _EXPRESSIONS)
class TestEveryQuantizer:
    def test_its_configuration_reads_back(self, text: str) -> None:
        quantizer = _quantizer(text)
        assert type(quantizer).from_config(quantizer.get_config()).spec == quantizer.spec

    def test_its_expression_reads_back(self, text: str) -> None:
        assert parse_quantizer(str(_quantizer(text))) == parse_quantizer(text)

    def test_codes_times_scale_are_its_values_exactly(self, text: str) -> None:
        quantizer = _quantizer(text.replace("qnoise_factor=0.5", "qnoise_factor=1.0"))
        codes, scale = quantizer.to_integers(_X)
        assert codes.dtype == np.int64
        np.testing.assert_array_equal(
            (codes * scale.astype(np.float64)).astype(np.float32), _array(quantizer(_X))
        )

    def test_it_has_no_more_codes_than_bits_can_tell_apart(self, text: str) -> None:
        quantizer = _quantizer(text)
        codes, scale = quantizer.to_integers(np.linspace(-9, 9, 5001, dtype=np.float32).reshape(-1, 3))
        zero = 1  # a power of two that is zero is an extra level
        assert len(np.unique(codes * scale, axis=0)[:, 0]) <= 3 * 2 ** (quantizer.bits + 1) + zero

    def test_inference_is_the_same_twice(self, text: str) -> None:
        quantizer = _quantizer(text)
        np.testing.assert_array_equal(_array(quantizer(_X)), _array(quantizer(_X)))

    def test_it_is_idempotent(self, text: str) -> None:
        if any(part in text for part in _NOT_IDEMPOTENT):
            pytest.skip("applies a function, rescales its output or measures its input")
        quantizer = _quantizer(text)
        once = _array(quantizer(_X))
        np.testing.assert_array_equal(_array(quantizer(once)), once)

    def test_it_is_monotone(self, text: str) -> None:
        if any(part in text for part in _NOT_MONOTONE):
            pytest.skip("the function it quantizes is not monotone")
        rising = np.sort(_X, axis=0)
        assert np.all(np.diff(_array(_quantizer(text)(rising)), axis=0) >= 0)

    def test_its_values_are_levels_inside_its_range(self, text: str) -> None:
        if "qnoise" in text:
            pytest.skip("a part of the float value passes")
        quantizer = _quantizer(text)
        codes, scale = quantizer.encode(ops.convert_to_tensor(_X))
        measured = "auto" in text or quantizer.spec.kind in (
            "std",
            "std_per_axis",
            "trainable_std",
            "max",
            "max_per_axis",
            "scale_factor",
        )
        values = _array(codes) if measured else _array(codes) * np.asarray(scale)
        if measured and quantizer.spec.kind == "quantized_linear":
            values = values * (np.abs(quantizer.levels()).min() or 1.0) if "(1" in text else values
        low, high = quantizer.range()
        assert low - 1e-6 <= values.min() <= values.max() <= high + 1e-6
        nearest = np.abs(values.ravel()[:, None] - quantizer.levels()[None, :]).min(axis=1)
        assert nearest.max() <= 1e-6 * max(1.0, abs(high), abs(low))

    def test_its_gradient_is_finite(self, text: str) -> None:
        quantizer = _quantizer(text)
        for training in (False, True):
            (gradient,) = gradients(lambda x, how=training: ops.sum(quantizer(x, how)), _X)
            assert gradient.shape == _X.shape
            assert np.all(np.isfinite(gradient))

    def test_a_tensor_of_zeros_gives_finite_values_and_gradients(self, text: str) -> None:
        quantizer = _quantizer(text)
        zeros = np.zeros((4, 3), np.float32)
        (gradient,) = gradients(lambda x: ops.sum(quantizer(x, True)), zeros)
        assert np.all(np.isfinite(_array(quantizer(zeros))))
        assert np.all(np.isfinite(gradient))

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_narrow_floats_are_quantized_as_float32_and_keep_their_type(self, text: str, dtype: str) -> None:
        quantizer = _quantizer(text)
        narrow = ops.cast(ops.convert_to_tensor(_X), dtype)
        quantized = quantizer(narrow)
        assert keras.backend.standardize_dtype(quantized.dtype) == dtype
        wide = quantizer(ops.cast(narrow, "float32"))
        np.testing.assert_array_equal(
            _array(ops.cast(quantized, "float32")), _array(ops.cast(ops.cast(wide, dtype), "float32"))
        )

    def test_it_draws_numbers_only_while_training_and_only_if_it_says_so(self, text: str) -> None:
        quantizer = _quantizer(text)
        x = np.tile(_X, (20, 1))
        differs = not np.array_equal(_array(quantizer(x, True)), _array(quantizer(x, True)))
        assert differs == quantizer.is_random

    def test_widths_are_those_of_its_specification(self, text: str) -> None:
        quantizer, spec = _quantizer(text), parse_quantizer(text)
        assert (quantizer.bits, quantizer.integer_bits, quantizer.signed) == (
            spec.bits,
            spec.integer_bits,
            spec.signed,
        )


@pytest.mark.parametrize(
    "text",
    ["quantized_bits(3,0,1,use_stochastic_rounding=1)", "quantized_relu(4,1,use_stochastic_rounding=1)"],
)
def test_stochastic_rounding_gives_the_value_on_average_and_only_whole_levels(text: str) -> None:
    quantizer = _quantizer(text)
    x = np.full((20_000,), 0.3, np.float32)
    drawn = _array(quantizer(x, True))
    assert abs(drawn.mean() - 0.3) < 0.01
    assert set(np.unique(drawn)) <= set(quantizer.levels().astype(np.float32))


def test_compat_rounds_relu_stochastically_to_half_levels() -> None:
    quantizer = _quantizer("quantized_relu(3,0,use_stochastic_rounding=1,compat=1)")
    drawn = _array(quantizer(np.full((5_000,), 0.2, np.float32), True))
    assert not set(np.unique(drawn)) <= set(quantizer.levels().astype(np.float32))


def test_an_automatic_scale_of_a_vector_is_one_number_and_of_a_matrix_one_a_column() -> None:
    quantizer = _quantizer("quantized_bits(4,alpha='auto')")
    assert quantizer.scale(_X[:, 0]).size == 1
    assert quantizer.scale(_X).shape == (1, 3)


def test_floor_through_passes_the_gradient() -> None:
    (gradient,) = gradients(lambda x: ops.sum(floor_through(x)), _X)
    np.testing.assert_array_equal(gradient, np.ones_like(_X))


def test_a_noise_factor_mixes_the_float_value_in() -> None:
    mixed = _array(_quantizer("quantized_bits(3,0,1,qnoise_factor=0.5)")(np.array([0.6], np.float32)))
    np.testing.assert_allclose(mixed, [0.55])
