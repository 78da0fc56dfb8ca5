"""Akida-style weight quantizers against what cnn2snn computes: integer codes exactly, values, gradients, errors."""

from __future__ import annotations

from typing import Any, Final

import keras
import numpy as np
import pytest
from keras import ops

from quantization.quantizers import build_quantizer, ceil_through, round_through
from quantization.specs.parse import QuantizerError, QuantizerSpec, as_spec
from tests.golden.libraries import Case, cases, gradients, plain

_CASES: Final = cases("cnn2snn_weight_quantizers")
_WEIGHTS: Final = [case for case in _CASES if "q" in case.outputs]
_THROUGH: Final = [case for case in _CASES if case.feature in ("round_through", "ceil_through")]
_ERRORS: Final = [case for case in _CASES if case.feature == "errors"]
_CONFIGS: Final = [case for case in _CASES if case.feature == "get_config"]

#: Class of cnn2snn -> kind.
_KINDS: Final = {
    "StdWeightQuantizer": "std",
    "StdPerAxisQuantizer": "std_per_axis",
    "TrainableStdWeightQuantizer": "trainable_std",
    "MaxQuantizer": "max",
    "MaxPerAxisQuantizer": "max_per_axis",
    "ScaleFactorQuantizer": "scale_factor",
}
_NAMES: Final = {"bitwidth": "bits", "threshold": "threshold", "scale_factors": "scale_factors"}


def _spec(case: Case) -> QuantizerSpec:
    values = {_NAMES[key]: value for key, value in case.params.items() if key in _NAMES}
    return as_spec({"kind": _KINDS[case.params["cls"]]} | values)


def _expected(case: Case) -> np.ndarray:
    """The reference's values; where it divides zero by a scale factor of 0, the 0 of a channel that is switched off."""
    return np.where(np.isnan(case.outputs["q"]) & (case.outputs["scale_factor"] == 0), 0.0, case.outputs["q"])


def _array(value: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(value))


@pytest.mark.parametrize("case", _WEIGHTS, ids=str)
def test_codes_equal_the_reference_exactly(case: Case) -> None:
    codes, _ = build_quantizer(_spec(case)).to_integers(case.inputs["w"])
    expected = np.rint(_expected(case).astype(np.float64) * case.outputs["scale_factor"])
    np.testing.assert_array_equal(codes, expected)


@pytest.mark.parametrize("case", _WEIGHTS, ids=str)
def test_values_equal_the_reference(case: Case) -> None:
    actual = _array(build_quantizer(_spec(case))(case.inputs["w"]))
    rtol, atol = case.tolerance["rtol"], case.tolerance["atol"]
    np.testing.assert_allclose(actual, _expected(case), rtol=rtol, atol=atol)


@pytest.mark.parametrize("case", _WEIGHTS, ids=str)
def test_scale_factors_equal_the_reference(case: Case) -> None:
    quantizer: Any = build_quantizer(_spec(case))
    actual = np.squeeze(_array(quantizer.scale_factor(case.inputs["w"])))
    np.testing.assert_allclose(actual, np.squeeze(case.outputs["scale_factor"]), rtol=case.tolerance["rtol"])


@pytest.mark.parametrize("case", _WEIGHTS, ids=str)
def test_gradients_equal_the_reference_or_are_zero_where_it_has_none(case: Case) -> None:
    quantizer: Any = build_quantizer(_spec(case))

    def total(w: Any, threshold: Any) -> Any:
        if "grad_threshold" in case.outputs:
            quantizer.threshold = threshold
        return ops.sum(quantizer(w) * case.inputs["r"])

    threshold = np.float32(case.params.get("threshold", 3))
    actual = dict(
        zip(("grad_w", "grad_threshold"), gradients(total, case.inputs["w"], threshold), strict=True)
    )
    tolerance = case.tolerance["grad"]
    for key in actual.keys() & case.outputs.keys():
        expected = case.outputs[key]
        missing = np.isnan(expected)
        assert np.all(np.isfinite(actual[key]))
        np.testing.assert_allclose(
            np.where(missing, 0, actual[key]),
            np.where(missing, 0, expected),
            rtol=tolerance["rtol"],
            atol=tolerance["atol"],
        )


@pytest.mark.parametrize("case", _THROUGH, ids=str)
def test_rounding_passes_the_gradient_on(case: Case) -> None:
    function = {"round_through": round_through, "ceil_through": ceil_through}[case.feature]
    tolerance = {"rtol": case.tolerance["rtol"], "atol": case.tolerance["atol"]}
    x = case.inputs["x"]
    np.testing.assert_allclose(_array(function(ops.convert_to_tensor(x))), case.outputs["y"], **tolerance)
    gradient = gradients(lambda x: ops.sum(function(x) * case.inputs["r"]), x)[0]
    np.testing.assert_allclose(gradient, case.outputs["grad_x"], **tolerance)


@pytest.mark.parametrize("case", _ERRORS, ids=str)
def test_what_the_reference_refuses_is_refused(case: Case) -> None:
    with pytest.raises(QuantizerError):
        _spec(case)


@pytest.mark.parametrize("case", [case for case in _CASES if case.feature == "get_bad_identifier"], ids=str)
def test_an_unknown_identifier_is_an_error(case: Case) -> None:
    with pytest.raises(QuantizerError):
        as_spec(case.params["identifier"])


@pytest.mark.parametrize("case", _CONFIGS, ids=str)
def test_a_configuration_holds_the_initial_values_and_reads_back(case: Case) -> None:
    spec = _spec(case)
    quantizer = build_quantizer(spec)
    quantizer.build(keras.layers.Layer(), "kernel")
    config = quantizer.get_config()
    reference = next(v["config"] for v in case.extra.values() if isinstance(v, dict) and "config" in v)
    expected = {
        _NAMES[key]: plain(value)
        for key, value in reference.items()
        if key in _NAMES and not isinstance(value, str)
    }
    assert {key: config[key] for key in expected} == expected
    assert type(quantizer).from_config(config).spec == spec
