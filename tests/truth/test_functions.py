"""No activation function changes silently: the table of functions against Keras, and what a search makes of it."""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np
import pytest
from keras.src.activations import ALL_OBJECTS_DICT

from costmodel.network import read_network
from quantization.layers.base import quantized_function
from quantization.quantizers import QUANTIZERS, build_quantizer
from quantization.specs.functions import (
    _FUNCTION_KINDS,
    FUNCTIONS,
    PROBABILITIES,
    Fit,
    default_quantizers,
    fit,
    function_named,
    layer_function,
)
from quantization.specs.parse import QuantizerSpec, parse_quantizer
from search.errors import InvalidSpec
from search.space.choices import Choices, choices
from search.spec.job import SearchSpec
from tests.search.nets import functional, layer

#: Numbers of which every function of the table takes one argument; glu halves the channels, threshold needs a number.
SEARCHED = sorted(FUNCTIONS.keys() - PROBABILITIES - {"threshold"})
X = np.linspace(-7.9, 7.9, 317, dtype=np.float32)

KINDS = [
    "quantized_bits(8,3)",
    "quantized_bits(8,3,0,keep_negative=0)",
    "quantized_linear(8,3)",
    "quantized_relu(8,3)",
    "quantized_relu(8,3,relu_upper_bound=6.0,is_quantized_clip=0)",
    "quantized_relu(8,3,negative_slope=0.25)",
    "quantized_tanh(8)",
    "quantized_tanh(8,use_real_tanh=1)",
    "quantized_sigmoid(8)",
    "quantized_sigmoid(8,use_real_sigmoid=1)",
    "quantized_hswish(8,3)",
    "quantized_ulaw(8,3)",
    "discrete_relu(8)",
]


@functools.cache
def built(spec: QuantizerSpec) -> Any:
    return build_quantizer(spec)


@functools.cache
def levels(spec: QuantizerSpec) -> Any:
    return built(spec).levels()


@functools.cache
def values(name: str, spec: QuantizerSpec | None) -> Any:
    function = keras.activations.get(name)
    computed = function if spec is None else quantized_function(function, built(spec), training=False)
    return np.asarray(keras.ops.convert_to_numpy(computed(keras.ops.convert_to_tensor(X[None]))))[0]


def error_in_steps(name: str, spec: QuantizerSpec) -> float:
    """The largest distance between function and quantizer, in steps, where the function is within the grid's range."""
    low, high = levels(spec).min(), levels(spec).max()
    step = float(np.diff(np.unique(levels(spec))).max())
    exact = values(name, None)
    inside = (exact >= low - step) & (exact <= high + step)
    if spec.kind in _FUNCTION_KINDS:
        inside = np.ones_like(inside)
        exact = np.clip(exact, -np.inf, high)  # a rectifier ends at its range
    return float(np.abs(exact - values(name, spec))[inside].max() / step)


def test_every_function_of_keras_is_in_the_table() -> None:
    assert {function_named(name).name for name in ALL_OBJECTS_DICT} - {"glu"} == set(FUNCTIONS)


@pytest.mark.parametrize("name", SEARCHED)
def test_the_bounds_of_the_table_are_those_of_the_function(name: str) -> None:
    exact, function = values(name, None), FUNCTIONS[name]
    assert exact.min() >= function.low - 1e-3
    assert exact.max() <= function.high + 1e-6
    assert (exact.min() < -1e-6) == (function.low < 0.0)


@pytest.mark.parametrize("name", SEARCHED)
def test_default_candidates_keep_the_function_to_the_precision_of_their_grid(name: str) -> None:
    for spec in default_quantizers(FUNCTIONS[name]):
        assert fit(FUNCTIONS[name], spec) is Fit.SAME
        assert error_in_steps(name, spec) <= (1.0 if spec.bits >= 6 else 2.0), spec


@pytest.mark.parametrize("text", KINDS)
def test_a_quantizer_fits_the_functions_that_it_computes(text: str) -> None:
    spec = parse_quantizer(text)
    for name in SEARCHED:
        match fit(FUNCTIONS[name], spec):
            case Fit.SAME:
                assert error_in_steps(name, spec) <= 1.0, name
            case Fit.COARSE:
                assert spec.kind in _FUNCTION_KINDS
            case Fit.OTHER:
                assert error_in_steps(name, spec) > 1.0 or not spec.signed, name


def test_the_kinds_that_replace_a_function_are_those_that_the_layers_let_replace_it() -> None:
    replacing = {kind for kind, cls in QUANTIZERS.items() if cls.is_activation}
    assert replacing == _FUNCTION_KINDS.keys() - {"quantized_ulaw"}


@pytest.mark.parametrize(
    ("class_name", "config"),
    [
        ("ReLU", {}),
        ("ReLU", {"max_value": 6.0}),
        ("ReLU", {"max_value": 3.0}),
        ("ReLU", {"negative_slope": 0.25}),
        ("ReLU", {"max_value": 2.0, "negative_slope": 0.1, "threshold": 0.5}),
        ("LeakyReLU", {}),
        ("LeakyReLU", {"negative_slope": 0.125}),
        ("ELU", {"alpha": 2.0}),
    ],
)
def test_activation_layers_are_functions_of_the_table(class_name: str, config: dict[str, Any]) -> None:
    function = layer_function(class_name, config)
    exact = np.asarray(keras.ops.convert_to_numpy(getattr(keras.layers, class_name)(**config)(X[None])))
    assert exact.min() >= function.low - 1e-6
    assert exact.max() <= function.high + 1e-6
    assert all(fit(function, spec) is Fit.SAME for spec in default_quantizers(function))
    for text in ("quantized_relu(8,1)", "quantized_relu(8,3)", "quantized_relu(8,3,negative_slope=0.25)"):
        spec = parse_quantizer(text)
        expected = np.minimum(exact, levels(spec).max())
        step = levels(spec)[1] - levels(spec)[0]
        distance = np.abs(np.asarray(keras.ops.convert_to_numpy(built(spec)(X[None]))) - expected).max()
        assert (fit(function, spec) is Fit.SAME) == (distance <= step), text


# --- what a search offers -------------------------------------------------------------------------------------------


def net(*functions: str) -> dict[str, Any]:
    layers, before = [], "input"
    for index, function in enumerate(functions):
        layers.append(layer("Dense", f"d{index}", [before], units=4, activation=function))
        before = f"d{index}"
    layers.append(layer("Dense", "out", [before], units=2, activation="softmax"))
    return functional((6,), layers)


def space(config: dict[str, Any], limits: dict[str, Any] | None = None, **quantizers: Any) -> Choices:
    limits = limits or {"by_class": {"Dense": [8, 8, 8]}}
    job = {"model": "digits_cnn", "limits": limits, "quantizers": quantizers}
    return choices(SearchSpec.model_validate(job), read_network(config))


def kinds(found: Choices, name: str) -> set[str]:
    return {str(label).partition("(")[0] for label in found.dimensions()[name]}


@pytest.mark.parametrize("name", [name for name in SEARCHED if name not in ("relu", "linear")])
def test_no_default_candidate_replaces_a_function(name: str) -> None:
    slot = next(slot for slot in space(net(name)).slots if slot.name == "d0.activation")
    assert {fit(FUNCTIONS[name], spec) for spec in slot.candidates} == {Fit.SAME}
    assert max(spec.bits for spec in slot.candidates) == 8


def test_relu_has_the_candidates_of_the_list() -> None:
    assert kinds(space(net("relu")), "d0.activation") == {
        "binary",
        "ternary",
        "quantized_relu",
        "quantized_relu_po2",
    }


def test_gates_and_states_of_recurrent_layers_keep_their_functions() -> None:
    config = functional(
        (5, 3), [layer("LSTM", "rnn", ["input"], units=4, activation="tanh", recurrent_activation="sigmoid")]
    )
    found = space(config, {"by_class": {"LSTM": {"kernel": 4, "activation": 8}}})
    assert kinds(found, "rnn.activation") == {"quantized_tanh"}
    assert kinds(found, "rnn.recurrent_activation") == {"quantized_bits"}


def test_of_a_list_the_quantizers_that_compute_the_function_are_used_and_the_others_reported() -> None:
    found = space(
        net("tanh", "relu"), activation=["quantized_tanh(6)", "quantized_relu(6,2)", "quantized_bits(6,0)"]
    )
    assert kinds(found, "d0.activation") == {"quantized_tanh", "quantized_bits"}
    assert kinds(found, "d1.activation") == {"quantized_relu", "quantized_bits"}
    left = [warning for warning in found.warnings if "left out" in warning]
    assert len(left) == 2
    assert "'d0': quantized_relu(6,2) would replace tanh" in left[0]


def test_a_list_that_no_quantizer_fits_gives_the_defaults_and_a_warning() -> None:
    found = space(net("gelu", "relu", "gelu"), activation=["quantized_relu(4,2)"])
    assert kinds(found, "d0.activation") == {"quantized_bits"}
    assert kinds(found, "d1.activation") == {"quantized_relu"}
    warning = next(text for text in found.warnings if "gelu" in text)
    assert "layers d0, d2" in warning
    assert "quantizers.functions.gelu" in warning


def test_what_is_named_for_a_function_replaces_it_and_is_listed_by_layer() -> None:
    found = space(net("gelu", "relu"), functions={"gelu": ["quantized_relu(4,2)", "quantized_bits(8,2)"]})
    assert kinds(found, "d0.activation") == {"quantized_relu", "quantized_bits"}
    assert "layer 'd0': gelu is replaced by quantized_relu(4,2)" in found.warnings


def test_what_is_named_under_a_pattern_replaces_the_function() -> None:
    limits = {"by_name": {"d0": {"activation": ["quantized_relu(4,2)"]}}}
    found = space(net("tanh"), limits)
    assert kinds(found, "/d0/.activation") == {"quantized_relu"}
    assert "layer 'd0': tanh is replaced by quantized_relu(4,2)" in found.warnings


def test_a_list_for_a_class_that_fits_no_function_is_an_error_that_names_what_does() -> None:
    with pytest.raises(InvalidSpec) as caught:
        space(net("tanh"), {"by_class": {"Dense": {"activation": ["quantized_relu(4,2)"]}}})
    problem = caught.value.problems[0]
    assert problem.pointer == "/limits/by_class/Dense/activation"
    assert "'d0'" in problem.message
    assert "computes tanh" in problem.message
    assert "quantized_tanh" in problem.message


def test_layers_under_a_pattern_share_a_choice_where_their_functions_are_the_same() -> None:
    found = space(net("relu", "tanh", "relu"), {"by_name": {"d.": 8}})
    names = {slot.name: slot.layers for slot in found.slots}
    assert names["/d./.activation"] == ("d0", "d2")
    assert names["/d./.activation.tanh"] == ("d1",)


def test_a_function_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="not a function that can be quantized"):
        space(net("relu"), functions={"tanhh": ["quantized_tanh(4)"]})


def test_the_selection_of_autoqkeras_replaces_functions_and_says_so() -> None:
    found = space(net("tanh"), selection="autoqkeras")
    assert kinds(found, "d0.activation") == {"binary", "ternary", "quantized_relu", "quantized_relu_po2"}
    assert any("tanh is replaced by" in warning for warning in found.warnings)


def test_a_job_stored_before_the_selection_existed_keeps_its_candidates() -> None:
    from search.spec.stored import completed

    stored = completed({"model": "digits_cnn", "limits": {"by_class": {"Dense": 8}}, "quantizers": {}})
    assert stored["quantizers"]["selection"] == "autoqkeras"
