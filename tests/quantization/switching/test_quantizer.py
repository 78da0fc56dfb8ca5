"""Switched quantizers give what plain ones give: values, gradients, draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from keras import ops

from quantization.layers.base import quantized_function
from quantization.models.convert import quantize
from quantization.quantizers import build_quantizer
from quantization.specs.parse import QuantizerSpec, parse_quantizer
from quantization.switching.quantizer import SwitchedQuantizer, can_switch, choice_of, switch
from tests.quantization.strategies import specs

TEXTS = (
    "binary",
    "binary(alpha=1.0)",
    "binary(alpha='auto')",
    "stochastic_binary",
    "stochastic_binary(alpha='auto_po2')",
    "ternary",
    "ternary(alpha='auto')",
    "stochastic_ternary",
    "stochastic_ternary(alpha='auto')",
    "bernoulli(alpha=1.0)",
    "quantized_bits(2,1,1,alpha=1.0)",
    "quantized_bits(4,0,1)",
    "quantized_bits(8,3,0,alpha=0.7)",
    "quantized_bits(6,2,keep_negative=0)",
    "quantized_bits(1,0)",
    "quantized_bits(4,0,1,alpha='auto')",
    "quantized_bits(4,0,1,alpha='auto_po2')",
    "quantized_bits(4,0,use_stochastic_rounding=1)",
    "quantized_bits(4,0,use_ste=0)",
    "quantized_linear(4,1)",
    "quantized_linear(4,1,alpha='auto')",
    "quantized_relu(3,1)",
    "quantized_relu(8,4)",
    "quantized_relu(4,2,use_sigmoid=1)",
    "quantized_relu(4,2,negative_slope=0.25)",
    "quantized_relu(4,2,use_stochastic_rounding=1)",
    "quantized_relu(4,2,relu_upper_bound=1.5,is_quantized_clip=0)",
    "quantized_relu_po2(4,4)",
    "quantized_po2(4,1)",
    "quantized_tanh(4)",
    "quantized_sigmoid(4)",
    "quantized_ulaw(6,1)",
    "quantized_hswish(6,1)",
    "std(4)",
    "std_per_axis(4)",
    "max(4)",
    "max_per_axis(4)",
    "discrete_relu(4)",
)
ALL = tuple(parse_quantizer(text) for text in TEXTS)


def numbers(shape: tuple[int, ...] = (3, 5, 4)) -> np.ndarray:
    drawn = np.random.default_rng(0).normal(scale=1.5, size=shape).astype(np.float32)
    drawn.flat[:4] = [0.0, 0.5, -0.25, 9.0]
    return drawn


def plain_result(
    spec: QuantizerSpec, x: np.ndarray, training: bool, function: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    quantizer = build_quantizer(spec)
    if quantizer.seed_generator is not None:
        quantizer.seed_generator.state.assign([7, 3])
    # eagerly, where no optimizer of graphs changes the last bit
    value, gradient = differentiated(quantized_function(function, quantizer, training), tf.constant(x))
    return np.asarray(value), np.asarray(gradient)


def upstream_of(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def differentiated(apply: Any, inputs: Any) -> tuple[Any, Any]:
    """Values, and gradients of the inputs, as tensors."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = apply(inputs)
    upstream = upstream_of(tuple(inputs.shape))
    return value, tape.gradient(value, inputs, upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def value_and_gradient(apply: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    value, gradient = tf.function(lambda inputs: differentiated(apply, inputs))(tf.constant(x))
    return np.asarray(value), np.asarray(gradient)


class Traced:
    """A switched quantizer in a function that is traced once, as in a program."""

    def __init__(
        self, candidates: Sequence[QuantizerSpec | None], slot: str, function: Any, training: bool
    ) -> None:
        self._slot, self._function = slot, function
        self._switched = SwitchedQuantizer(candidates, slot, function)
        self._both = tf.function(
            lambda inputs: differentiated(lambda values: self._switched(values, training), inputs)
        )

    def result(self, spec: QuantizerSpec | None, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and gradients of one of the candidates."""
        switched, chosen = self._switched, choice_of(spec, self._slot, self._function)
        switched.choice.assign(switched.index(chosen))
        switched.parameters.assign(chosen.parameters)
        if switched.seed_generator is not None:
            switched.seed_generator.state.assign([7, 3])
        value, gradient = self._both(tf.constant(x))
        return np.asarray(value), np.asarray(gradient)


def switched_result(
    candidates: Sequence[QuantizerSpec | None],
    spec: QuantizerSpec | None,
    x: np.ndarray,
    training: bool,
    slot: str = "bias",
    function: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    return Traced(candidates, slot, function, training).result(spec, x)


@pytest.fixture(scope="module", params=[False, True], ids=["inference", "training"])
def all_traced(request: pytest.FixtureRequest) -> tuple[Traced, bool]:
    """All candidates in one switch, and whether it is training."""
    return Traced(ALL, "bias", None, request.param), request.param


@pytest.mark.parametrize("spec", ALL, ids=TEXTS)
def test_a_switched_quantizer_gives_the_plain_ones_values_and_gradients(
    spec: QuantizerSpec, all_traced: tuple[Traced, bool]
) -> None:
    traced, training = all_traced
    x = numbers()
    expected = plain_result(spec, x, training)
    result = traced.result(spec, x)
    np.testing.assert_array_equal(result[0], expected[0])
    np.testing.assert_allclose(
        result[1], expected[1], rtol=1e-6, atol=1e-7
    )  # the graph's optimizer may reorder


@settings(deadline=None, max_examples=30, suppress_health_check=list(HealthCheck))
@given(specs())
def test_any_quantizer_that_can_be_switched_is_the_same(spec: QuantizerSpec) -> None:
    if not can_switch(spec):
        return
    x = numbers((6, 4))
    expected = plain_result(spec, x, True)
    result = switched_result((spec, ALL[0]), spec, x, True)
    np.testing.assert_array_equal(result[0], expected[0])
    np.testing.assert_allclose(
        result[1], expected[1], rtol=1e-6, atol=1e-7
    )  # the graph's optimizer may reorder


@pytest.mark.parametrize("text", ["quantized_relu(3,1)", "quantized_bits(4,1)", "quantized_tanh(4)"])
def test_a_grid_follows_the_layers_function_and_an_activation_replaces_it(text: str) -> None:
    x, spec = numbers(), parse_quantizer(text)
    expected = plain_result(spec, x, True, keras.activations.sigmoid)
    candidates = (parse_quantizer("binary"), spec)
    result = switched_result(candidates, spec, x, True, "activation", keras.activations.sigmoid)
    np.testing.assert_array_equal(result[0], expected[0])
    np.testing.assert_allclose(
        result[1], expected[1], rtol=1e-6, atol=1e-7
    )  # the graph's optimizer may reorder


def test_a_slot_without_a_quantizer_keeps_the_layers_function() -> None:
    x = numbers()
    value, gradient = switched_result((None, ALL[0]), None, x, True, "activation", keras.activations.relu)
    expected = value_and_gradient(keras.activations.relu, x)
    np.testing.assert_array_equal(value, expected[0])
    np.testing.assert_array_equal(gradient, expected[1])


def test_all_grids_are_one_branch() -> None:
    texts = (
        "quantized_bits(4,0,1)",
        "quantized_bits(8,3)",
        "quantized_relu(3,1)",
        "quantized_bits(2,1,1,alpha=0.5)",
    )
    assert len(SwitchedQuantizer([parse_quantizer(text) for text in texts], "bias").branches) == 1


def test_a_kernel_whose_alpha_is_open_has_the_branch_of_automatic_powers_of_two() -> None:
    opened, written = (parse_quantizer(text) for text in ("binary", "binary(alpha='auto_po2')"))
    assert choice_of(opened, "kernel", None) == choice_of(written, "kernel", None)


@pytest.mark.parametrize(
    "text",
    [
        "trainable_std(4)",
        "quantized_bits(4,0,qnoise_factor=0.5)",
        "quantized_bits(4,0,alpha='auto_po2',scale_axis=0,elements_per_scale=2)",
    ],
)
def test_what_has_variables_or_needs_fixed_shapes_cannot_be_switched(text: str) -> None:
    assert not can_switch(parse_quantizer(text))


@pytest.mark.parametrize("spec", [None, *ALL])
def test_everything_else_can(spec: QuantizerSpec | None) -> None:
    assert can_switch(spec)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("spec", [spec for spec in ALL if build_quantizer(spec).straight_range()])
def test_the_gradient_is_1_in_the_range_that_a_quantizer_names(spec: QuantizerSpec, training: bool) -> None:
    x = numbers()
    named = build_quantizer(spec).straight_range()
    assert named is not None
    inside = (x > named[0]) & (x <= named[1])
    np.testing.assert_array_equal(
        plain_result(spec, x, training)[1], np.where(inside, upstream_of(x.shape), 0)
    )


def test_about_half_of_the_quantizers_name_such_a_range() -> None:
    named = [spec for spec in ALL if build_quantizer(spec).straight_range()]
    assert len(ALL) > len(named) > len(ALL) / 3


def test_a_choice_that_stops_gradients_is_refused_where_no_candidate_does() -> None:
    switched = SwitchedQuantizer([parse_quantizer("quantized_bits(4,0,1)")], "bias")
    with pytest.raises(ValueError, match="stops gradients"):
        switched.index(choice_of(parse_quantizer("quantized_relu(4,2)"), "bias", None))


def test_a_choice_without_a_branch_is_refused() -> None:
    switched = SwitchedQuantizer([parse_quantizer("binary")], "bias")
    with pytest.raises(ValueError, match="not among the branches"):
        switched.index(choice_of(parse_quantizer("ternary"), "bias", None))


@pytest.mark.parametrize(
    ("text", "draws"), [("binary", 0), ("stochastic_binary", 1), ("stochastic_ternary", 2)]
)
def test_the_seed_moves_by_as_many_draws_as_the_branch_makes(text: str, draws: int) -> None:
    spec = parse_quantizer(text)
    candidates = [parse_quantizer(name) for name in ("binary", "stochastic_binary", "stochastic_ternary")]
    switched = SwitchedQuantizer(candidates, "bias")
    assert switched.seed_generator is not None
    switched.seed_generator.state.assign([7, 3])
    switched.choice.assign(switched.index(choice_of(spec, "bias", None)))
    switched(numbers(), training=True)
    assert list(ops.convert_to_numpy(switched.seed_generator.state)) == [7, 3 + draws]


def test_slots_that_are_never_quantized_are_left_alone() -> None:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, keras.layers.Dense(2, name="dense")(inputs))
    quantized = quantize(model, {"dense": {"kernel": parse_quantizer("binary"), "bias": None}})
    slots = switch(quantized, {"dense": {"kernel": [parse_quantizer("binary")], "bias": [None]}})
    assert set(slots) == {("dense", "kernel")}
    assert quantized.get_layer("dense").quantizer("bias") is None


def test_a_list_of_scales_needs_its_number_of_channels() -> None:
    spec = parse_quantizer("bernoulli(alpha=[1.0, 2.0])")
    assert not can_switch(spec)
    with pytest.raises(ValueError, match=r"lists 2 scales for a tensor of 4 channels"):
        build_quantizer(spec)(numbers((6, 4)))
