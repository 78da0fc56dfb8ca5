"""Fixed point, integer logarithms and shiftmax against what quantizeml computes: exact."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pytest
from keras import ops

from quantization.integer.fixed_point import (
    FixedPoint,
    Shifted,
    ceil_log2,
    floor_log2,
    hardware_round_log2,
    max_frac_bits,
    round_log2,
)
from quantization.integer.shiftmax import IntegerShiftmax, pow2, shiftmax
from tests.golden.libraries import Case, cases, gradients

_CASES: Final = cases("quantizeml_shiftmax_fixedpoint")
#: What the reference raises -> what stands for it here.
_ERRORS: Final[Mapping[str, tuple[type[Exception], ...]]] = MappingProxyType(
    {
        "InvalidArgumentError": (ValueError, ZeroDivisionError),
        "ValueError": (ValueError,),
        "TypeError": (TypeError,),
        "NotImplementedError": (NotImplementedError,),
    }
)
#: quantizeml lacks `FixedPoint * FixedPoint` and the powers built on it; here they work as tf.math.multiply does.
_MENDED: Final = ("mul_operator", "pow_2")


def _tensor(case: Case, suffix: str = "") -> FixedPoint:
    frac_bits = case.params[f"frac{suffix}" if suffix else "frac_bits"]
    return FixedPoint(case.inputs[f"values{suffix}"], case.params[f"value_bits{suffix}"], frac_bits)


def _other(case: Case) -> FixedPoint | int:
    return case.params["other"] if "other" in case.params else _tensor(case, "2")


def _quantized(case: Case) -> FixedPoint:
    x = case.inputs.get("x", case.params.get("x"))
    return FixedPoint.quantize(x, case.params["value_bits"], case.params["frac_bits"])


def _shifted(case: Case) -> FixedPoint:
    places = case.inputs.get("s", case.params["s"])
    return _tensor(case).shift(places.astype(int) if isinstance(places, np.ndarray) else places)


def _integer_shiftmax(case: Case) -> FixedPoint:
    widths = {key: case.params[key] for key in ("exp_bitwidth", "buffer_bitwidth") if key in case.params}
    return IntegerShiftmax(**widths)(_tensor(case), axis=case.params.get("axis", -1)).tensor


def _sum(case: Case) -> FixedPoint:
    axis = case.params["axis"]
    over = tuple(axis) if isinstance(axis, list) else axis
    return _tensor(case).sum(axis=over, keepdims=case.params["keepdims"])


#: Function of a case -> how its tensor is made here.
_TENSORS: Final[Mapping[str, Callable[[Case], FixedPoint | Shifted]]] = MappingProxyType(
    {
        "ctor": _tensor,
        "quantize": _quantized,
        "quantize_int": _quantized,
        "rescale": lambda case: _tensor(case).rescale(case.params["new_frac"], case.params["new_bits"]),
        "upscale": lambda case: _tensor(case).upscale(case.params["new_frac"], case.params.get("new_bits")),
        "floor": lambda case: _tensor(case).floor(),
        "shift": _shifted,
        "lshift": lambda case: _tensor(case) << case.params["s"],
        "rshift": lambda case: _tensor(case) >> case.params["s"],
        "promote": lambda case: _tensor(case).promote(case.params["bits"]),
        "expand": lambda case: _tensor(case).expand(case.params["bits"]),
        "align": lambda case: _tensor(case).align(_tensor(case, "2"), case.params["new_bits"]),
        "add": lambda case: _tensor(case) + _other(case),
        "add_int": lambda case: _tensor(case) + _other(case),
        "sub": lambda case: _tensor(case) - _other(case),
        "sub_int": lambda case: _tensor(case) - _other(case),
        "mul": lambda case: _tensor(case) * _other(case),
        "mul_int": lambda case: _tensor(case) * _other(case),
        "div": lambda case: _tensor(case) / _other(case),
        "reduce_sum": _sum,
        "abs": lambda case: abs(_tensor(case)),
        "sign": lambda case: _tensor(case).sign(),
        "neg": lambda case: -_tensor(case),
        "qshiftmax": _integer_shiftmax,
    }
)

_LOGS: Final = MappingProxyType({"floor_log2": floor_log2, "ceil_log2": ceil_log2, "round_log2": round_log2})
_THREE_BITS: Final = MappingProxyType({"value_bits": 7, "frac_bits": 3})


def _fixed(values: Any = (1, 2, 3), **widths: Any) -> FixedPoint:
    return FixedPoint(np.asarray(values), **(_THREE_BITS | widths))


#: The second operand a case's name speaks of; the cases hold no arrays for what must fail.
_OPERANDS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "str": "1",
        "float": 0.5,
        "neg": -1,
        "list": [1, 2, 3],
        "none": None,
        "numpy": np.ones(3, np.float32),
        "tensor": ops.ones(3),
        "complex": 1j,
        "0": FixedPoint([0, 1, 1], 7, 3),
    }
)
_BINARY: Final[Mapping[str, Callable[[Any, Any], Any]]] = MappingProxyType(
    {
        "add": operator.add,
        "sub": operator.sub,
        "mul": operator.mul,
        "div": operator.truediv,
        "truediv": operator.truediv,
        "pow": operator.pow,
        "lshift": operator.lshift,
        "rshift": operator.rshift,
        "gt": operator.gt,
        "ge": operator.ge,
        "lt": operator.lt,
        "le": operator.le,
        "cmp": operator.gt,
    }
)
#: Operations that must fail for another reason than their second operand.
_REFUSED: Final[Mapping[str, Callable[[Mapping[str, Any]], object]]] = MappingProxyType(
    {
        "promote": lambda params: _fixed().promote(params["bits"]),
        "expand": lambda params: _fixed().expand(params.get("bits", 3)),
        "upscale_down": lambda _: _fixed().upscale(1),
        "frac2d": lambda _: _fixed(np.ones((2, 3), int), frac_bits=np.ones((2, 3), int)),
        "div0": lambda _: _fixed() / _OPERANDS["0"],
    }
)

_OPERATORS: Final = MappingProxyType(
    {name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")}
)
_SHIFTMAX_INPUTS: Final = MappingProxyType(
    {
        "tf_float": ops.ones((2, 3)),
        "numpy": np.ones((2, 3), np.float32),
        "int_tensor": ops.ones((2, 3), dtype="int32"),
        "list": [1.0, 2.0],
    }
)


def _of(*functions: str) -> list[Case]:
    return [case for case in _CASES if case.params["fn"] in functions]


def _check(actual: FixedPoint, case: Case) -> None:
    """Integers, widths, binary point and values are all equal."""
    expected = case.outputs
    np.testing.assert_array_equal(actual.values.astype(np.float32), expected["values"])
    np.testing.assert_array_equal(actual.frac_bits, expected["frac_bits"])
    assert actual.value_bits == expected["value_bits"]
    np.testing.assert_array_equal(actual.to_float().astype(np.float32), expected["float"])


def test_every_case_is_of_a_known_kind() -> None:
    functions = {*_TENSORS, *_LOGS, "shiftmax", "pow2", "maxfrac", "cmp", "fperr", "qctor", "qtype"}
    assert {case.params["fn"] for case in _CASES} <= functions


@pytest.mark.parametrize("case", [case for case in _of(*_TENSORS) if case.error is None], ids=str)
def test_tensors_equal_the_reference(case: Case) -> None:
    actual = _TENSORS[case.params["fn"]](case)
    if isinstance(actual, Shifted) and "shift" in case.outputs:
        np.testing.assert_array_equal(actual.shift, case.outputs["shift"])
    _check(actual.tensor if isinstance(actual, Shifted) else actual, case)


@pytest.mark.parametrize("case", [case for case in _of(*_TENSORS) if case.error is not None], ids=str)
def test_tensors_are_refused_where_the_reference_refuses_them(case: Case) -> None:
    assert case.error is not None
    with pytest.raises(_ERRORS[case.error["type"]]):
        _TENSORS[case.params["fn"]](case)


@pytest.mark.parametrize("case", _of("cmp"), ids=str)
def test_comparisons_are_by_value(case: Case) -> None:
    actual = _OPERATORS[case.params["op"]](_tensor(case), _other(case))
    np.testing.assert_array_equal(actual, case.outputs["y"])


@pytest.mark.parametrize("case", _of(*_LOGS), ids=str)
def test_logarithms_are_exact(case: Case) -> None:
    actual = _LOGS[case.params["fn"]](case.inputs["x"])
    np.testing.assert_array_equal(actual, case.outputs.get("y_exact", case.outputs["y"]))


@pytest.mark.parametrize("case", _of(*_LOGS), ids=str)
def test_logarithms_have_the_reference_faults_under_compat(case: Case) -> None:
    actual = _LOGS[case.params["fn"]](case.inputs["x"], compat=True)
    np.testing.assert_array_equal(actual, case.outputs["y"])


@pytest.mark.parametrize("case", [c for c in _of(*_LOGS) if "y_hardware_rule" in c.outputs], ids=str)
def test_the_hardware_rule_rounds_up_from_one_and_a_half(case: Case) -> None:
    np.testing.assert_array_equal(hardware_round_log2(case.inputs["x"]), case.outputs["y_hardware_rule"])


@pytest.mark.parametrize("case", _of("pow2"), ids=str)
def test_powers_of_two_are_exact(case: Case) -> None:
    np.testing.assert_array_equal(ops.convert_to_numpy(pow2(case.inputs["x"])), case.outputs["y"])


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("case", _of("maxfrac"), ids=str)
def test_the_most_fractional_bits_equal_the_reference(case: Case, compat: bool) -> None:
    width, clamp = case.params["value_bits"], case.params["clamp"]
    actual = max_frac_bits(width, case.inputs["x"], clamp=clamp, compat=compat)
    np.testing.assert_array_equal(actual, case.outputs["y"])


def _shiftmax(case: Case) -> Callable[[Any], Any]:
    axis = case.params["axis"]
    return lambda x: shiftmax(x, tuple(axis) if isinstance(axis, list) else axis)


@pytest.mark.parametrize("case", _of("shiftmax"), ids=str)
def test_shiftmax_equals_the_reference(case: Case) -> None:
    if case.error is not None:
        with pytest.raises(ValueError, match="axis"):
            _shiftmax(case)(case.inputs["x"])
        return
    actual = ops.convert_to_numpy(_shiftmax(case)(case.inputs["x"]))
    np.testing.assert_array_equal(actual, case.outputs["y"])


@pytest.mark.parametrize("case", [c for c in _of("shiftmax") if "grad_x" in c.outputs], ids=str)
def test_the_gradient_of_shiftmax_equals_the_reference(case: Case) -> None:
    apply = _shiftmax(case)
    gradient = gradients(lambda x: ops.sum(apply(x) * case.inputs["r"]), case.inputs["x"])[0]
    allowed = case.tolerance["grad"]
    np.testing.assert_allclose(gradient, case.outputs["grad_x"], rtol=allowed["rtol"], atol=allowed["atol"])


@pytest.mark.parametrize("case", _of("qctor"), ids=str)
def test_widths_of_integer_shiftmax_are_checked(case: Case) -> None:
    widths = {key: value for key, value in case.params.items() if key != "fn"}
    if case.error is not None:
        with pytest.raises(_ERRORS[case.error["type"]]):
            IntegerShiftmax(**widths)
        return
    shiftmax_layer = IntegerShiftmax(**widths)
    assert shiftmax_layer.buffer_value_bits == case.outputs["buffer_bitwidth"]
    assert shiftmax_layer.exp_bitwidth == case.outputs["exp_bitwidth"]


@pytest.mark.parametrize("case", _of("qtype"), ids=str)
def test_integer_shiftmax_takes_fixed_point_only(case: Case) -> None:
    with pytest.raises(TypeError, match="FixedPoint"):
        IntegerShiftmax()(_SHIFTMAX_INPUTS[case.params["type"]])


def _operation(case: Case) -> Callable[[Mapping[str, Any]], object]:
    """What the case tries, by its name: `promote_down`, `add_str`."""
    name: str = case.params["op"]
    verb, _, operand = name.partition("_")
    for word in (name, verb):
        if word in _REFUSED:
            return _REFUSED[word]
    if verb not in _BINARY or operand not in _OPERANDS:
        pytest.skip(f"the case names an operation, {name!r}, but has no arrays that would say what it is")
    return lambda _: _BINARY[verb](_fixed(), _OPERANDS[operand])


@pytest.mark.parametrize("case", [c for c in _of("fperr") if c.params["op"] not in _MENDED], ids=str)
def test_operations_without_a_meaning_are_refused(case: Case) -> None:
    assert case.error is not None
    with pytest.raises(_ERRORS[case.error["type"]]):
        _operation(case)(case.params)


@pytest.mark.parametrize("case", [c for c in _of("fperr") if c.params["op"] in _MENDED], ids=str)
def test_a_product_of_tensors_works_where_the_reference_forgot_it(case: Case) -> None:
    x = _fixed((1, -2, 3), frac_bits=1)
    product = x * x if case.params["op"] == "mul_operator" else x**2
    np.testing.assert_array_equal(product.to_float(), [0.25, 1.0, 2.25])
