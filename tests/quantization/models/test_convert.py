"""Float model and assignment -> quantized model, and back; what the cost model and the export see of it."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from costmodel.network import Network, read_network
from quantization.errors import QuantizationError, UnknownLayer, UnknownSlot, UnsupportedModel
from quantization.export.integers import export_integers, smallest_type
from quantization.export.table import quantizer_table
from quantization.models.convert import (
    caching_weights,
    float_model,
    plain_description,
    quantize,
    read_quantizers,
    transfer_weights,
)
from quantization.specs.parse import as_spec, parse_quantizer
from tests.quantization.as_network import network, types

_KERNEL = parse_quantizer("quantized_bits(4,0,1,alpha=1.0)")
_BIAS = parse_quantizer("quantized_bits(8,3,1)")
_RELU = parse_quantizer("quantized_relu(3,1)")
_ASSIGNMENT = {
    "conv": {"kernel": _KERNEL},
    "norm": {},
    "act": {"activation": _RELU},
    "depth": {"kernel": parse_quantizer("quantized_po2(4)"), "bias": None, "activation": _RELU},
    "head": {"kernel": parse_quantizer("binary(alpha='auto')"), "bias": _BIAS},
}


def _model() -> keras.Model:
    inputs = keras.Input((8, 8, 2), name="in")
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Activation("relu", name="act")(x)
    side = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depth")(x)
    x = keras.layers.Add(name="add")([x, side])
    x = keras.layers.Flatten(name="flat")(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="head")(x), name="net")


def _json(model: keras.Model) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(model.to_json())
    return loaded


_SOURCES = {"model": lambda m: m, "json": _json, "config": lambda m: m.get_config()}


@pytest.mark.parametrize("source", _SOURCES)
def test_what_was_assigned_is_what_is_built(source: str) -> None:
    assert read_quantizers(quantize(_SOURCES[source](_model()), _ASSIGNMENT)) == _ASSIGNMENT


@given(bits=st.integers(2, 8), integer=st.integers(0, 3), relu=st.integers(1, 8))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_widths_that_are_assigned_are_built(bits: int, integer: int, relu: int) -> None:
    assignment = {
        "conv": {"kernel": as_spec({"kind": "quantized_bits", "bits": bits, "integer": integer})},
        "act": {"activation": as_spec({"kind": "quantized_relu", "bits": relu})},
    }
    assert read_quantizers(quantize(_model(), assignment)) == assignment


def test_names_order_and_shapes_are_kept() -> None:
    model = _model()
    quantized = quantize(model, _ASSIGNMENT)
    assert [(a.name, a.output.shape) for a in quantized.layers] == [
        (a.name, a.output.shape) for a in model.layers
    ]


def test_a_sequential_model_stays_one() -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="d")])
    quantized = quantize(model, {"d": {"kernel": _KERNEL}})
    assert isinstance(quantized, keras.Sequential)
    assert read_quantizers(quantized) == {"d": {"kernel": _KERNEL}}


def test_widths_change_filters_and_units() -> None:
    quantized = quantize(_json(_model()), _ASSIGNMENT, {"conv": 6, "head": 5})
    assert quantized.get_layer("conv").kernel.shape == (3, 3, 2, 6)
    assert quantized.output_shape == (None, 5)


def test_layers_that_are_quantized_already_stay_so() -> None:
    first = quantize(_model(), {"conv": {"kernel": _KERNEL}})
    assert read_quantizers(quantize(first, {"head": {"bias": _BIAS}})) == {
        "conv": {"kernel": _KERNEL},
        "head": {"bias": _BIAS},
    }


def test_weights_are_fresh_and_the_model_given_is_untouched() -> None:
    model = _model()
    before = model.get_weights()
    quantized = quantize(model, _ASSIGNMENT)
    quantized.get_layer("head").bias.assign(np.ones(3))
    assert all(np.array_equal(old, new) for old, new in zip(before, model.get_weights(), strict=True))


def test_weights_are_transferred_by_name() -> None:
    model = _model()
    quantized = quantize(model, _ASSIGNMENT)
    assert transfer_weights(model, quantized) == []
    np.testing.assert_array_equal(quantized.get_layer("conv").kernel, model.get_layer("conv").kernel)


def test_layers_whose_shapes_changed_are_left_and_named() -> None:
    model = _model()
    assert transfer_weights(model, quantize(model, {}, {"head": 5})) == ["head"]


@pytest.mark.parametrize(
    ("assignment", "error", "words"),
    [
        ({"cnv": {}}, UnknownLayer, "no layer is called 'cnv'; did you mean 'conv'?"),
        (
            {"conv": {"bias": _BIAS}},
            UnknownSlot,
            r"'conv' \(Conv2D\) has no slot 'bias'; its slots: kernel, activation",
        ),
        ({"head": {"gamma": _BIAS}}, UnknownSlot, "its slots: kernel, bias, activation"),
        (
            {"flat": {"kernel": _KERNEL}},
            UnknownSlot,
            r"'flat' \(Flatten\) has no slot 'kernel'; its slots: none",
        ),
    ],
)
def test_a_wrong_assignment_says_what_is_allowed(assignment: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        quantize(_model(), assignment)


@pytest.mark.parametrize(
    ("widths", "words"), [({"flat": 3}, "no width"), ({"conv": 0}, "from 1"), ({"x": 1}, "'x'")]
)
def test_a_wrong_width_is_an_error(widths: dict[str, int], words: str) -> None:
    with pytest.raises(QuantizationError, match=words):
        quantize(_model(), {}, widths)


def _changed(change: Any) -> dict[str, Any]:
    config = _json(_model())
    change(config["config"]["layers"][1])
    return config


_HOSTILE = {
    "a class outside the list": lambda layer: layer.update(class_name="Lambda"),
    "a module that is not Keras'": lambda layer: layer.update(module="os"),
    "a registered class of somebody": lambda layer: layer.update(registered_name="Custom>Conv2D"),
    "an initializer that is a function": lambda layer: layer["config"].update(
        kernel_initializer={"module": "os", "class_name": "system", "config": "ls", "registered_name": None}
    ),
    "an activation that is an object": lambda layer: layer["config"].update(
        activation={
            "module": "builtins",
            "class_name": "function",
            "config": "print",
            "registered_name": "function",
        }
    ),
    "a lambda": lambda layer: layer["config"].update(
        activation={"class_name": "__lambda__", "config": {"value": "x"}}
    ),
    "nested without end": lambda layer: layer["config"].update(kernel_initializer=_nested(60)),
}


def _nested(depth: int) -> Any:
    return [_nested(depth - 1)] if depth else {}


@pytest.mark.parametrize("change", _HOSTILE)
def test_a_description_that_is_not_only_layers_of_keras_is_refused(change: str) -> None:
    with pytest.raises(UnsupportedModel):
        float_model(_changed(_HOSTILE[change]))


@pytest.mark.parametrize(
    "config", [{}, [], {"class_name": "Lambda", "config": {}}, {"layers": [{}]}, {"layers": []}]
)
def test_what_is_no_description_of_a_model_is_refused(config: Any) -> None:
    with pytest.raises(UnsupportedModel):
        float_model(config)


def test_a_float_model_is_built_from_its_description() -> None:
    model = _model()
    built = float_model(_json(model))
    built.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(built(x)), np.asarray(model(x)))


def test_the_cost_model_sees_the_float_network_whatever_is_quantized() -> None:
    model = _model()
    assert _seen(network(quantize(model, _ASSIGNMENT))) == _seen(read_network(_json(model)))


def _seen(net: Network) -> list[tuple[object, ...]]:
    """What a price depends on: serialized objects and whether lists are tuples do not count."""
    plain = (int, float, str, bool, type(None))
    return [
        (
            layer.name,
            layer.class_name,
            layer.inbound,
            layer.input_shapes,
            layer.output_shape,
            {key: value for key, value in layer.config.items() if isinstance(value, plain)},
        )
        for layer in net.layers
    ]


def test_the_cost_model_sees_the_types_of_the_assignment() -> None:
    expected = {
        layer: {slot: None if spec is None else spec.data_type() for slot, spec in slots.items()}
        for layer, slots in _ASSIGNMENT.items()
    }
    assert types(quantize(_model(), _ASSIGNMENT)) == expected


def test_a_plain_description_names_only_layers_of_keras() -> None:
    described = plain_description(quantize(_model(), _ASSIGNMENT))
    assert [layer["class_name"] for layer in described["config"]["layers"]] == [
        type(layer).__name__ for layer in _model().layers
    ]


def test_exported_codes_times_scales_are_the_weights_in_use() -> None:
    model = quantize(_model(), _ASSIGNMENT)
    arrays = export_integers(model)
    assert set(arrays) == {
        f"{layer}/{slot}/{part}"
        for layer, slot in [("conv", "kernel"), ("depth", "kernel"), ("head", "kernel"), ("head", "bias")]
        for part in ("codes", "scale")
    }
    kernel = model.get_layer("conv").quantizer("kernel")(model.get_layer("conv").kernel)
    np.testing.assert_array_equal(
        arrays["conv/kernel/codes"] * arrays["conv/kernel/scale"], np.asarray(kernel)
    )
    assert arrays["conv/kernel/codes"].dtype == np.int8


def test_weights_that_are_held_are_quantized_once_and_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = quantize(_model(), _ASSIGNMENT)
    x = np.random.default_rng(1).normal(size=(3, *model.input_shape[1:])).astype(np.float32)
    plainly, exported = np.asarray(model(x)), export_integers(model)
    counted: list[Any] = []
    head = model.get_layer("head").quantizer("kernel")
    encode = head.encode
    monkeypatch.setattr(head, "encode", lambda *arguments: counted.append(arguments) or encode(*arguments))
    with caching_weights(model):
        for _ in range(2):
            np.testing.assert_array_equal(np.asarray(model(x)), plainly)
        arrays = export_integers(model)
    assert len(counted) == 1
    for name, codes in exported.items():
        np.testing.assert_array_equal(arrays[name], codes)
    model.get_layer("head").kernel.assign(model.get_layer("head").kernel * -3.0)
    assert not np.array_equal(np.asarray(model(x)), plainly), "what was held is let go"


@given(st.lists(st.integers(-(2**62), 2**62), min_size=0, max_size=5))
def test_exported_codes_fit_their_type(values: list[int]) -> None:
    codes = np.array(values, dtype=np.int64)
    np.testing.assert_array_equal(codes.astype(smallest_type(codes)), codes)


def test_the_table_lists_every_layer_and_reads_back() -> None:
    table = json.loads(json.dumps(quantizer_table(quantize(_model(), _ASSIGNMENT))))
    rows = {row["name"]: row for row in table["layers"]}
    assert list(rows) == [layer.name for layer in _model().layers]
    assert as_spec(rows["conv"]["slots"]["kernel"]["spec"]) == _KERNEL
    assert rows["depth"]["slots"]["bias"] is None
    assert (rows["add"]["quantized"], rows["norm"]["quantized"], rows["norm"]["class"]) == (
        False,
        True,
        "BatchNormalization",
    )


def test_the_table_says_which_scale_a_kernel_runs_with() -> None:
    model = quantize(_model(), {"head": {"kernel": parse_quantizer("ternary")}})
    slot = next(row for row in quantizer_table(model)["layers"] if row["name"] == "head")["slots"]["kernel"]
    assert (slot["quantizer"], slot["runs"]) == ("ternary()", "ternary(alpha='auto_po2')")
