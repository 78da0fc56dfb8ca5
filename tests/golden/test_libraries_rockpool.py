"""Xylo quantization: the corrected rule by default, Rockpool's own answers under `compat`. Exact."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest

from quantization.spiking import METHODS
from quantization.spiking.specification import SpecificationError, XyloParameters, XyloSpecification
from tests.golden.libraries import Case, cases

_CASES: Final = cases("rockpool_xylo_quantize")
_MISSHAPEN: Final = "AssertionError"
_CORRECTED: Final = "successor_"


def _quantize(case: Case, **options: Any) -> XyloParameters:
    arguments = {name: value for name, value in case.params.items() if name != "method"}
    return METHODS[case.params["method"]](XyloSpecification.from_arrays(case.inputs), **arguments, **options)


def _check(actual: XyloParameters, expected: dict[str, np.ndarray]) -> None:
    arrays = actual.arrays()
    assert arrays.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(arrays[name], value, err_msg=name, strict=True)


def _error(case: Case) -> str | None:
    return case.error["type"] if case.error is not None else None


def _corrected(case: Case) -> dict[str, np.ndarray]:
    """What the corrected rule gives: where it differs from the reference there is a key of its own."""
    plain = {name: value for name, value in case.outputs.items() if not name.startswith(_CORRECTED)}
    corrected = {
        name[len(_CORRECTED) :]: v for name, v in case.outputs.items() if name.startswith(_CORRECTED)
    }
    return plain | corrected


@pytest.mark.parametrize("case", [case for case in _CASES if _error(case) != _MISSHAPEN], ids=str)
def test_the_corrected_rule_is_the_default(case: Case) -> None:
    _check(_quantize(case), _corrected(case))


@pytest.mark.parametrize("case", [case for case in _CASES if case.error is None], ids=str)
def test_compat_equals_the_reference(case: Case) -> None:
    expected = {name: value for name, value in case.outputs.items() if not name.startswith(_CORRECTED)}
    _check(_quantize(case, compat=True), expected)


@pytest.mark.parametrize("case", [case for case in _CASES if _error(case) == "IndexError"], ids=str)
def test_compat_fails_where_the_reference_fails(case: Case) -> None:
    with pytest.raises(IndexError, match="saturates"):
        _quantize(case, compat=True)


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("case", [case for case in _CASES if _error(case) == _MISSHAPEN], ids=str)
def test_a_wrong_rank_is_an_error_that_names_the_array(case: Case, compat: bool) -> None:
    with pytest.raises(SpecificationError, match="weights_"):
        _quantize(case, compat=compat)


@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("case", [case for case in _CASES if case.error is None], ids=str)
def test_the_callers_arrays_are_never_changed(case: Case, compat: bool) -> None:
    before = {name: value.copy() for name, value in case.inputs.items()}
    _quantize(case, compat=compat)
    for name, value in before.items():
        np.testing.assert_array_equal(case.inputs[name], value)
