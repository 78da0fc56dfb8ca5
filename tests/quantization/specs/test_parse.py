"""The quantizer as a value: expressions, errors, data types."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from costmodel.data_type import DataType, NumberFormat
from quantization.specs.parse import KINDS, Quantizer, QuantizerError, QuantizerSpec, as_spec, parse_quantizer
from tests.quantization.strategies import specs


class _Holder(BaseModel):
    quantizer: Quantizer | None = None


@given(specs())
def test_every_specification_reads_back_from_its_expression(spec: QuantizerSpec) -> None:
    assert parse_quantizer(str(spec)) == spec


@given(specs())
def test_every_specification_reads_back_from_its_json(spec: QuantizerSpec) -> None:
    assert as_spec(json.loads(spec.model_dump_json())) == spec


@given(specs())
def test_a_data_type_has_the_width_of_its_specification(spec: QuantizerSpec) -> None:
    assert spec.data_type().bits == spec.bits
    assert spec.data_type().signed == spec.signed


@given(st.text(max_size=30))
def test_any_text_is_a_specification_or_a_quantizer_error(text: str) -> None:
    try:
        outcome = parse_quantizer(text).kind
    except QuantizerError as error:
        outcome = error.text
    assert outcome == text or outcome in KINDS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quantized_bits(4,0,1,alpha=1.0)", {"bits": 4, "integer": 0, "symmetric": True, "alpha": 1.0}),
        (" binary ( alpha = 'auto_po2' , ) ", {"alpha": "auto_po2"}),
        ("quantized_po2(4,1)", {"bits": 4, "max_value": 1.0}),
        ("quantized_relu(3,1)", {"bits": 3, "integer": 1}),
        ("quantized_relu(6,1,negative_slope=0.25)", {"negative_slope": 0.25}),
        ("quantized_bits(4, alpha=[0.5, 1, 2e0])", {"alpha": (0.5, 1.0, 2.0)}),
        ('ternary(alpha="auto")', {"alpha": "auto"}),
        ("quantized_bits(4,keep_negative=False,var_name='w')", {"keep_negative": False}),
        ("quantized_bits(4,-1)", {"integer": -1}),
    ],
)
def test_an_expression_binds_its_arguments_in_the_order_of_qkeras(
    text: str, expected: dict[str, object]
) -> None:
    spec = parse_quantizer(text)
    assert {name: getattr(spec, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("quantized_bitz(4)", 0, "did you mean 'quantized_bits'?"),
        ("quantized_bits(4,alhpa=1)", 17, "did you mean 'alpha'?"),
        ("quantized_bits(64)", 15, "bits: input should be less than or equal to 32"),
        ("quantized_bits(4", 16, "expected ',' or ')', found the end"),
        ("quantized_bits(4) x", 18, "expected the end of the expression"),
        ("quantized_bits(__import__('os'))", 15, "found '__import__'"),
        ("quantized_bits(4;5)", 16, "';' is not allowed"),
        ("quantized_bits(4,alpha='foo')", 17, "alpha: input should be 'auto' or 'auto_po2'"),
        ("quantized_bits(bits=4,bits=5)", 22, "bits is given twice"),
        ("quantized_bits(bits=4,5)", 22, "without a name follows one with a name"),
        ("quantized_bits(4,True)", 17, "integer: input should be a valid integer"),
        ("quantized_relu(3,negative_slope=.3)", 17, "power of two"),
        ("binary(alpha='auto',scale_axis=0,elements_per_scale=2)", 0, "needs alpha='auto_po2'"),
        ("quantized_bits(4,alpha='auto_po2',elements_per_scale=2)", 0, "needs scale_axis"),
        ("ternary(alpha='auto',threshold=0.5)", 0, "give one of the two"),
        ("quantized_po2(4,-1)", 16, "max_value: input should be greater than 0"),
        ("bernoulli(1,2,True,4)", 19, "at most 3 arguments without a name"),
        ("", 0, "expected the name of a quantizer"),
        ("[" * 50, 0, "expected the name of a quantizer"),
        ("binary(" + "[" * 50, 15, "expected a number"),
    ],
)
def test_an_error_says_where_and_what_is_allowed(text: str, position: int, words: str) -> None:
    with pytest.raises(QuantizerError) as caught:
        parse_quantizer(text)
    assert (caught.value.position, words in str(caught.value)) == (position, True), str(caught.value)


def test_an_unknown_quantizer_lists_all_known_ones() -> None:
    with pytest.raises(QuantizerError) as caught:
        parse_quantizer("foo(3)")
    assert all(kind in str(caught.value) for kind in KINDS)


def test_a_field_takes_an_expression_an_object_or_nothing() -> None:
    assert _Holder(quantizer="binary").quantizer == _Holder(quantizer={"kind": "binary"}).quantizer  # type: ignore[arg-type]
    assert _Holder().quantizer is None


@pytest.mark.parametrize("value", ["foo(3)", {"kind": "binary", "foo": 1}, {"bits": 4}, 4])
def test_a_field_refuses_what_is_no_quantizer(value: object) -> None:
    with pytest.raises(ValidationError):
        _Holder(quantizer=value)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quantized_bits(6,2,1)", DataType(NumberFormat.FIXED, 6, 2, True)),
        ("quantized_bits(5,1,0,keep_negative=False)", DataType(NumberFormat.FIXED, 5, 1, False)),
        ("quantized_relu(4,2)", DataType(NumberFormat.FIXED, 4, 2, False)),
        ("quantized_relu(6,1,negative_slope=0.25)", DataType(NumberFormat.FIXED, 6, 1, True)),
        ("quantized_relu(1,1)", DataType(NumberFormat.BINARY_01, 1, 1, False, relu=True)),
        ("quantized_tanh(5)", DataType(NumberFormat.FIXED, 5, 0, True)),
        ("quantized_ulaw(6,1)", DataType(NumberFormat.FIXED, 6, 1, True)),
        ("quantized_po2(4)", DataType(NumberFormat.POWER_OF_TWO, 4, 4, True, exponents=(-4, 3))),
        ("quantized_po2(4,8)", DataType(NumberFormat.POWER_OF_TWO, 4, 4, True, 8.0, exponents=(-4, 3))),
        ("quantized_relu_po2(4,4)", DataType(NumberFormat.POWER_OF_TWO, 4, 4, False, 4.0, exponents=(-8, 2))),
        ("binary", DataType(NumberFormat.BINARY, 1, 1, True)),
        ("binary(use_01=True)", DataType(NumberFormat.BINARY_01, 1, 1, False)),
        ("stochastic_binary", DataType(NumberFormat.BINARY, 1, 1, True, stochastic=True)),
        ("bernoulli", DataType(NumberFormat.BINARY_01, 1, 1, False, stochastic=True)),
        ("ternary", DataType(NumberFormat.TERNARY, 2, 2, True)),
        ("stochastic_ternary", DataType(NumberFormat.TERNARY, 2, 2, True, stochastic=True)),
        ("max(8)", DataType(NumberFormat.FIXED, 8, 0, True)),
        ("discrete_relu(2)", DataType(NumberFormat.FIXED, 2, 2, False)),
    ],
)
def test_the_data_type_is_the_one_the_cost_model_prices(text: str, expected: DataType) -> None:
    assert parse_quantizer(text).data_type() == expected
