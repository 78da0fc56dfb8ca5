"""What every quantizer promises of its numbers: how many, how wide, of which type."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.data_type import DataType, NumberFormat
from costmodel.propagation import multiply
from quantization.quantizers import build_quantizer
from quantization.quantizers.base import largest_code
from quantization.specs.parse import QuantizerSpec, as_spec, parse_quantizer
from tests.quantization.strategies import specs

_EXTREMES: Final = np.array(
    [0, -0.0, 1, -1, 0.5, -0.5, 0.49999997, 1e-30, -1e-30, 3e-8, 1e3, -1e3, 1e18, -1e18, 2.0**24, 2.0**31],
    np.float32,
)
_SIGNS: Final = ("quantized_bits(1", "quantized_hswish(1", "quantized_linear(1")
#: Kinds whose levels are no numbers of a fixed-point grid.
_OFF_GRID: Final = ("quantized_ulaw",)


def _values(quantizer: Any, x: Any) -> Any:
    codes, scale = quantizer.to_integers(x)
    return codes.astype(np.float64) * scale.astype(np.float64)


def _unit(spec: Any) -> float:
    """What the levels of a specification are multiples of, besides the step of its type."""
    if spec.kind == "discrete_relu":
        return float(spec.step_width * 2 ** spec.data_type().fraction_bits)
    if spec.kind in ("std", "std_per_axis", "trainable_std", "max", "max_per_axis", "scale_factor"):
        return float(2 ** (spec.bits - 1))  # levels are codes
    alpha = getattr(spec, "alpha", None)
    if isinstance(alpha, str):
        return (
            1.0
            if spec.data_type().format is not NumberFormat.FIXED
            else float(2.0 ** spec.data_type().fraction_bits)
        )
    return float(alpha) if isinstance(alpha, int | float) else 1.0


def _range(data_type: DataType) -> tuple[float, float, float]:
    """Smallest and largest number of a type, and their distance (0: none)."""
    match data_type.format:
        case NumberFormat.FIXED:
            step = 2.0**-data_type.fraction_bits
            width = 2.0 ** (data_type.bits - data_type.signed)
            return (-width if data_type.signed else 0.0) * step, (width - 1) * step, step
        case NumberFormat.POWER_OF_TWO:
            assert data_type.exponents is not None
            top = 2.0 ** data_type.exponents[1]
            return -top if data_type.signed else 0.0, top, 0.0
        case NumberFormat.BINARY_01:
            return 0.0, 1.0, 1.0
        case _:
            return -1.0, 1.0, 1.0


def _is_sign(spec: Any) -> bool:
    """Whether one signed bit stands for -1 and +1, where its type, QTools' own, has -1 and 0."""
    return str(spec).startswith(_SIGNS) and getattr(spec, "keep_negative", True)


def _listable(spec: QuantizerSpec) -> bool:
    return spec.bits <= 10 and not spec.compat


@given(specs(st.integers(1, 32)))
@settings(max_examples=150)
def test_n_bits_have_at_most_two_to_the_n_values(spec: QuantizerSpec) -> None:
    if spec.compat or getattr(spec, "reference_exponents", False):
        return
    quantizer = build_quantizer(spec)
    if spec.bits > 10:
        low, high, _ = quantizer.grid or (0.0, 0.0, 1.0)
        assert high - low + 1 <= 2.0**spec.bits
        return
    levels = quantizer.levels()
    assert len(set(levels)) == len(levels) <= 2**spec.bits
    assert list(levels) == sorted(levels)


@given(
    specs(st.integers(1, 32)), st.lists(st.floats(-(2.0**60), 2.0**60, width=32), min_size=16, max_size=16)
)
@settings(max_examples=150)
def test_codes_lie_within_the_declared_width(spec: QuantizerSpec, drawn: list[float]) -> None:
    spec = _of_one_channel(spec)
    x = np.concatenate([_EXTREMES, np.array(drawn, np.float32)]).reshape(-1, 1)
    codes, _ = build_quantizer(spec).to_integers(x)
    data_type = spec.data_type()
    if data_type.format is NumberFormat.POWER_OF_TWO or spec.kind in _OFF_GRID or _is_sign(spec):
        return
    width = 2 ** (data_type.bits - data_type.signed)
    low, high = (-width if data_type.signed else 0, width - 1)
    if data_type.format in (NumberFormat.BINARY, NumberFormat.TERNARY):
        low, high = -1, 1
    assert low <= codes.min()
    assert codes.max() <= high


def _of_one_channel(spec: QuantizerSpec) -> QuantizerSpec:
    """Without lists of scales and axes, which need a tensor that fits them; QKeras' faults are off the grid."""
    values: dict[str, Any] = spec.model_dump()
    for name in ("scale_axis", "elements_per_scale"):
        if name in values:
            values[name] = None
    lists = {name: value[0] for name, value in values.items() if isinstance(value, tuple)}
    return as_spec(values | lists | {"compat": False})


@pytest.mark.parametrize("bits", [24, 25, 26, 31, 32])
@pytest.mark.parametrize(
    "text",
    [
        *("quantized_bits({})", "quantized_bits({},0,1)", "quantized_bits({},0,0,keep_negative=0)"),
        *("quantized_linear({})", "quantized_relu({})", "quantized_relu({},negative_slope=0.5)"),
        *(
            "quantized_tanh({})",
            "quantized_sigmoid({})",
            "quantized_hswish({},20)",
            "max({})",
            "scale_factor({})",
        ),
        *("quantized_bits({},alpha='auto')", "quantized_linear({},alpha='auto_po2')", "quantized_ulaw({})"),
    ],
)
def test_float32_rounds_no_code_out_of_its_width(text: str, bits: int) -> None:
    quantizer = build_quantizer(parse_quantizer(text.format(bits)))
    codes, scale = quantizer.to_integers(np.array([[1e30], [-1e30], [2.0**40], [1.0]], np.float32))
    low, high = quantizer.range()
    if quantizer.spec.kind == "quantized_ulaw":
        assert -1.0 <= low <= (codes * scale).min()
        assert (codes * scale).max() <= high < 1.0
        return
    width = 2 ** (bits - quantizer.signed)
    assert -width * quantizer.signed <= codes.min()
    assert codes.max() <= width - 1
    assert codes.max() == largest_code(codes.max())


def test_a_code_of_more_than_24_bits_is_one_that_float32_has() -> None:
    assert [largest_code(2.0**n - 1) for n in (23, 24, 25, 31)] == [
        2**23 - 1,
        2**24 - 1,
        2**25 - 2,
        2**31 - 128,
    ]


def test_widths_too_large_to_list_have_ends_and_say_so() -> None:
    quantizer = build_quantizer(parse_quantizer("quantized_bits(32)"))
    assert quantizer.range() == (-1.0, 1.0 - 2.0**-24)
    with pytest.raises(ValueError, match="range"):
        quantizer.levels()


@given(specs(st.integers(1, 10)))
@settings(max_examples=150)
def test_the_data_type_is_that_of_the_levels(spec: QuantizerSpec) -> None:
    if not _listable(spec) or isinstance(getattr(spec, "alpha", None), tuple):
        return
    levels, data_type = build_quantizer(spec).levels() / _unit(spec), spec.data_type()
    low, high, step = _range(data_type)
    assert data_type.bits == spec.bits
    assert data_type.signed or levels[0] >= 0
    if data_type.format is NumberFormat.POWER_OF_TWO:
        sizes = np.abs(levels[levels != 0])
        assert data_type.exponents == (int(np.log2(sizes.min())), int(np.log2(sizes.max())))
    if _is_sign(spec):
        return
    assert low <= levels[0]
    assert levels[-1] <= high
    if step and spec.kind not in _OFF_GRID:
        np.testing.assert_allclose(levels / step, np.rint(levels / step), rtol=1e-12)


_TYPES: Final = (
    *(
        "quantized_bits(4,0,1)",
        "quantized_bits(5,2)",
        "quantized_bits(3,-1,keep_negative=0)",
        "quantized_relu(4,2)",
    ),
    *(
        "quantized_relu(6,1,negative_slope=0.25)",
        "quantized_tanh(4)",
        "quantized_sigmoid(4)",
        "binary",
        "ternary",
    ),
    *("binary(use_01=1)", "bernoulli", "stochastic_binary", "stochastic_ternary", "quantized_hswish(6,2)"),
    *(
        "quantized_po2(4,1)",
        "quantized_po2(4)",
        "quantized_po2(4,8)",
        "quantized_relu_po2(4)",
        "quantized_relu_po2(3,1)",
    ),
    *("quantized_po2(4,1,reference_exponents=1)", "quantized_relu_po2(4,negative_slope=0.25)"),
)


@pytest.mark.parametrize("first", _TYPES)
@pytest.mark.parametrize("second", _TYPES)
def test_every_product_of_two_levels_is_a_number_of_the_typed_product(first: str, second: str) -> None:
    specs = [parse_quantizer(text) for text in (first, second)]
    one, other = (build_quantizer(spec).levels() for spec in specs)
    product = multiply(specs[0].data_type(), specs[1].data_type())[1]
    low, high, step = _range(product)
    if product.exponents is not None:
        step = 2.0 ** product.exponents[0]
    values = np.multiply.outer(one, other)
    # The one number that two's complement has no place for: the negative of the lowest.
    values = values[values != -low] if product.signed else values
    assert low <= values.min() <= values.max() <= high
    np.testing.assert_array_equal(np.rint(values / step), values / step)
