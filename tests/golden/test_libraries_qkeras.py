"""Quantizers against what QKeras computes: values, gradients, scales, errors, expressions."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from keras import ops

from quantization.quantizers import build_quantizer
from quantization.specs.parse import QuantizerError, QuantizerSpec, as_spec, parse_quantizer
from tests.golden.libraries import Case, cases, gradients

_CASES: Final = cases("qkeras_quantizers")
_VALUES: Final = [case for case in _CASES if {"y", "y_090"} & set(case.outputs)]
#: Arguments that only say how QKeras holds its state.
_INERT: Final = frozenset({"cls", "use_variables", "var_name", "enable_fast_inference"})


def _spec(case: Case, compat: bool) -> QuantizerSpec:
    values = {key: value for key, value in case.params.items() if key not in _INERT}
    return as_spec({"kind": case.params["cls"], "compat": compat} | values)


def _expected(case: Case, key: str) -> np.ndarray:
    """The primary library's answer, or the older one's where the primary has none."""
    return case.outputs[key] if key in case.outputs else case.outputs[f"{key}_090"]


def _unit(spec: Any) -> float:
    """What QKeras' scale is in units of: it leaves the step of the fixed-point kinds out."""
    if spec.kind in ("quantized_bits", "quantized_linear", "quantized_hswish"):
        return float(2.0 ** (spec.integer - spec.bits + spec.keep_negative))
    return 1.0


def _is_sign(spec: Any) -> bool:
    return getattr(spec, "bits", 0) == 1 and getattr(spec, "keep_negative", False)


def _channel_maxima(case: Case, spec: Any) -> np.ndarray:
    """The elements that decide an automatic scale: whether they lie inside the range is a matter of one ulp."""
    x = case.inputs["x"]
    if spec.kind != "quantized_linear" or not isinstance(spec.alpha, str):
        return np.zeros(x.shape, dtype=bool)
    axis = spec.scale_axis if spec.scale_axis is not None else x.ndim - 1
    others = tuple(index for index in range(x.ndim) if index != axis)
    sizes = np.abs(x) if spec.keep_negative else x
    return np.asarray(sizes == sizes.max(axis=others or None, keepdims=True)) | (x.ndim == 1)


def _check_values(case: Case, spec: QuantizerSpec) -> None:
    actual = np.asarray(ops.convert_to_numpy(build_quantizer(spec)(case.inputs["x"])))
    expected, tolerance = _expected(case, "y"), case.tolerance
    allowed = tolerance["atol"] + tolerance["rtol"] * np.abs(expected)
    if "FRAGILE" in case.notes:
        allowed = allowed + _channel_maxima(case, spec) * _expected(case, "scale") * _unit(spec)
    assert np.array_equal(np.isfinite(actual), np.isfinite(expected))
    with np.errstate(invalid="ignore"):
        wrong = np.abs(actual - expected) > allowed
    assert not wrong.any(), (case.inputs["x"][wrong], actual[wrong], expected[wrong])


def _has_fault(case: Case) -> bool:
    """Whether a fault of the reference that is corrected by default shows in a case; docs/quantizers.md lists them."""
    spec: Any = _spec(case, compat=True)
    corrected: Any = _spec(case, compat=False)
    automatic = isinstance(getattr(spec, "alpha", None), str)
    unsigned = not getattr(spec, "keep_negative", True)
    bound = getattr(spec, "relu_upper_bound", None)
    return (
        (automatic and case.inputs["x"].ndim == 1)
        or (automatic and spec.kind == "quantized_bits" and (unsigned or spec.bits == 1))
        or spec.kind == "quantized_relu_po2"
        or (spec.kind == "quantized_po2" and (spec.log2_rounding == "floor" or spec.quadratic_approximation))
        or (spec.kind == "quantized_po2" and spec.exponents != corrected.exponents)  # one too many
        or (spec.kind == "quantized_relu" and bound is not None and not spec.is_quantized_clip)
        or (
            spec.kind == "quantized_relu" and 0 < spec.negative_slope * 2 ** (spec.bits - 1) < 1
        )  # half a code
    )


@pytest.mark.parametrize("case", _VALUES, ids=str)
def test_values_equal_the_reference(case: Case) -> None:
    _check_values(case, _spec(case, compat=True))


@pytest.mark.parametrize("case", _VALUES, ids=str)
def test_gradients_equal_the_reference(case: Case) -> None:
    spec = _spec(case, compat=True)
    quantizer = build_quantizer(spec)
    gradient = gradients(lambda x: ops.sum(quantizer(x) * case.inputs["r"]), case.inputs["x"])[0]
    expected, tolerance = _expected(case, "grad_x"), case.tolerance["grad"]
    either = _channel_maxima(case, spec) & ((gradient == 0) | (gradient == case.inputs["r"]))
    close = np.isclose(gradient, expected, rtol=tolerance["rtol"], atol=tolerance["atol"])
    assert (close | either).all(), (case.inputs["x"][~close], gradient[~close], expected[~close])


@pytest.mark.parametrize("case", [case for case in _VALUES if "scale" in case.outputs], ids=str)
def test_scales_equal_the_reference(case: Case) -> None:
    spec = _spec(case, compat=True)
    quantizer = build_quantizer(spec)
    scale = np.asarray(ops.convert_to_numpy(quantizer.encode(ops.convert_to_tensor(case.inputs["x"]))[1]))
    unit = _unit(spec)
    if _is_sign(spec) and not isinstance(getattr(spec, "alpha", None), str) and spec.kind == "quantized_bits":
        unit = 1.0
    if _is_sign(spec) and spec.kind == "quantized_linear":
        unit *= 0.5
    expected = np.broadcast_to(_expected(case, "scale") * unit, scale.shape)
    np.testing.assert_allclose(scale, expected, rtol=1e-5)


@pytest.mark.parametrize("case", [case for case in _VALUES if not _has_fault(case)], ids=str)
def test_the_default_differs_from_the_reference_only_by_the_listed_faults(case: Case) -> None:
    _check_values(case, _spec(case, compat=False))


@pytest.mark.parametrize("case", [case for case in _CASES if case.feature == "bernoulli"], ids=str)
def test_bernoulli_draws_with_the_probability_of_the_reference(case: Case) -> None:
    quantizer = build_quantizer(_spec(case, compat=True))
    assert quantizer.seed_generator is not None
    quantizer.seed_generator.state.assign([7, 3])
    x, copies, calls = case.inputs["x"], 50, 12
    count = copies * calls
    scale = np.broadcast_to(case.outputs["scale"], x.shape)
    many = np.tile(x, (copies, *(1 for _ in x.shape[1:])))  # below each other: the scale stays the same
    draws = np.concatenate([ops.convert_to_numpy(quantizer(many, training=True)) for _ in range(calls)])
    draws = draws.reshape((count, *x.shape))
    assert np.all(np.isclose(draws, 0, atol=1e-6) | np.isclose(draws, scale, rtol=1e-5, atol=1e-6))
    expected = case.outputs["mean"] / scale
    samples = case.extra["n_samples"]
    spread = np.sqrt(np.clip(expected * (1 - expected), 1e-3, None) * (1 / count + 1 / samples))
    assert np.all(np.abs(draws.mean(0) / scale - expected) < 5 * spread)


@pytest.mark.parametrize("case", [case for case in _CASES if case.feature == "bernoulli"], ids=str)
def test_bernoulli_is_the_identity_to_the_gradient(case: Case) -> None:
    quantizer = build_quantizer(_spec(case, compat=True))
    gradient = gradients(lambda x: ops.sum(2.0 * quantizer(x, training=True)), case.inputs["x"])[0]
    np.testing.assert_allclose(gradient, case.outputs["grad_x"], rtol=1e-5)


@pytest.mark.parametrize("case", [case for case in _CASES if case.feature == "errors"], ids=str)
def test_what_the_reference_refuses_is_refused(case: Case) -> None:
    with pytest.raises(QuantizerError, match=r"is not a quantizer"):
        _spec(case, compat=False)


@pytest.mark.parametrize(
    "case",
    [case for case in _CASES if case.feature == "get_quantizer" and case.params["identifier"]],
    ids=str,
)
def test_expressions_are_read_as_the_reference_reads_them(case: Case) -> None:
    text = case.params["identifier"]
    if "ValueError" in case.extra["type"]:
        with pytest.raises(QuantizerError, match="unknown quantizer"):
            parse_quantizer(text)
    else:
        spec = parse_quantizer(text)
        written = case.extra["str"]
        assert spec.kind == text.partition("(")[0]
        assert written == "error" or str(spec) == written
