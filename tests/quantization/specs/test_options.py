"""Options of quantizers: wrong types are named, numbers are written as given, earlier versions keep their meaning."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pytest
from keras import ops

from quantization.quantizers import build_quantizer
from quantization.specs.parse import KINDS, QuantizerError, as_spec, parse_quantizer


@pytest.mark.parametrize(
    ("text", "count", "earlier"),
    [
        ("quantized_relu_po2(4)", 16, 17),
        ("quantized_relu_po2(4,negative_slope=0.25)", 15, 33),
        ("quantized_relu_po2(4,4.0)", 12, 12),
        ("quantized_relu_po2(4,1)", 16, 18),
        ("quantized_po2(4,1)", 16, 18),
        ("quantized_po2(4)", 16, 16),
        ("quantized_po2(2,1)", 4, 6),
        ("quantized_relu_po2(1)", 2, 3),
    ],
)
def test_what_version_0_1_wrote_keeps_the_values_it_had(text: str, count: int, earlier: int) -> None:
    spec = parse_quantizer(text)
    document = spec.model_dump(mode="json")
    document.pop("reference_exponents")
    stored = as_spec(document)
    assert [len(build_quantizer(s).levels()) for s in (spec, stored)] == [count, earlier]
    assert stored == spec.as_earlier() == parse_quantizer(str(stored))
    assert stored.label == spec.label == str(spec)


_WRONG: Final[tuple[Any, ...]] = (
    *("x", b"x", 1j, object(), {}, {"a": 1}, [], [[]], [None], ["x"], 10**400, math.nan, math.inf, -math.inf),
    *(np.array([]), np.array(["x"]), np.array([[1.0]]), lambda: 1, QuantizerError),
)
_OPTIONS: Final = [
    (kind, name) for kind, spec in KINDS.items() for name in spec.model_fields if name != "kind"
]


@pytest.mark.parametrize(("kind", "option"), _OPTIONS)
def test_a_value_of_a_wrong_type_is_a_named_error(kind: str, option: str) -> None:
    for value in _WRONG:
        with pytest.raises(QuantizerError, match=option):
            as_spec({"kind": kind, option: value})


@pytest.mark.parametrize(
    "value", [None, 3, [], {}, {"kind": None}, {"kind": 3}, {"kind": []}, {3: 4}, object()]
)
def test_what_is_no_quantizer_at_all_is_a_named_error(value: object) -> None:
    with pytest.raises(QuantizerError, match="is not a quantizer"):
        as_spec(value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": "auto_po2", "scale_axis": 0, "elements_per_scale": [2, 2]}, "as many axes"),
        ({"alpha": "auto_po2", "scale_axis": [0, 1], "elements_per_scale": [2]}, "as many axes"),
        ({"alpha": "auto_po2", "elements_per_scale": 2}, "needs scale_axis"),
        ({"alpha": "auto", "scale_axis": 0, "elements_per_scale": 2}, "needs alpha='auto_po2'"),
        ({"alpha": 1.0, "scale_axis": 0, "elements_per_scale": 2}, "needs alpha='auto' or 'auto_po2'"),
        ({"scale_axis": 0, "elements_per_scale": 2}, "needs alpha='auto' or 'auto_po2'"),
        ({"alpha": "auto_po2", "min_po2_exponent": 2, "max_po2_exponent": 1}, "is above"),
    ],
)
@pytest.mark.parametrize("kind", ["quantized_bits", "binary", "quantized_hswish"])
def test_options_that_do_not_go_together_are_refused(kind: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(QuantizerError, match=words):
        as_spec({"kind": kind} | options)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("quantized_po2(4,max_value=2)", "quantized_po2(4,2)"),
        ("quantized_po2(4,max_value=2.0)", "quantized_po2(4,max_value=2.0)"),
        ("quantized_bits(4,0,1,alpha=2)", "quantized_bits(4,0,1,alpha=2)"),
        ("quantized_bits(4,0,1,alpha=[1,2.0])", "quantized_bits(4,0,1,alpha=[1,2.0])"),
        ("std(4,2)", "std(4,threshold=2)"),
        ("discrete_relu(4,1,2.0)", "discrete_relu(4,threshold=1,step=2.0)"),
    ],
)
def test_numbers_are_written_as_they_were_given(text: str, written: str) -> None:
    spec = parse_quantizer(text)
    assert str(spec) == written
    assert str(as_spec(spec.model_dump(mode="json"))) == written


_NUMBERS: Final = [
    (kind, name)
    for kind, spec in KINDS.items()
    for name, field in spec.model_fields.items()
    if "PlainSerializer" in repr(field) or "PlainSerializer" in repr(field.annotation)
]


@pytest.mark.parametrize(("kind", "option"), _NUMBERS)
def test_a_whole_number_stays_whole_in_every_option(kind: str, option: str) -> None:
    for number in (1, 1.0):
        try:
            spec = as_spec({"kind": kind, option: number})
        except QuantizerError:
            continue  # out of the option's range
        document = as_spec(spec.model_dump(mode="json")).model_dump(mode="json")
        assert type(document[option]) is type(number)


def test_arrays_are_lists_of_numbers() -> None:
    factors = np.array([1.0, 0.5], np.float32)
    spec = as_spec({"kind": "scale_factor", "bits": 4, "scale_factors": factors})
    assert spec == parse_quantizer("scale_factor(4,[1.0,0.5])")
    assert build_quantizer(spec).get_config()["scale_factors"] == [1.0, 0.5]
    assert as_spec({"kind": "quantized_bits", "bits": np.int64(4)}) == parse_quantizer("quantized_bits(4)")


def test_a_scale_factor_of_zero_switches_a_channel_off() -> None:
    values = build_quantizer(parse_quantizer("scale_factor(4,[0,4])"))(np.ones((3, 2), np.float32))
    np.testing.assert_array_equal(ops.convert_to_numpy(values), [[0, 1]] * 3)
