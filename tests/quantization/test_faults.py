"""The faults of the reference that docs/quantizers.md lists: corrected by default, kept with compat."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from quantization.quantizers import build_quantizer
from quantization.specs.parse import parse_quantizer

_LISTED = [
    ("binary(alpha='auto')", [0.2, -0.7], [0.45, -0.45], [0.2, -0.7]),
    (
        "quantized_bits(2,0,1,keep_negative=0,alpha='auto')",
        [-1, -0.5, 0.3, 0.6],
        [0, 0, 0.4, 0.6],
        [-1, -1, 0, 1],
    ),
    ("quantized_bits(1,alpha='auto')", [1, -2], [1.5, -1.5], [np.nan, np.nan]),
    ("quantized_relu_po2(4)", [-1], [0], [2**-8]),
    ("quantized_po2(4,quadratic_approximation=1)", [0], [2**-8], [2**-4]),
    ("quantized_po2(6,log2_rounding='floor')", [2**13], [2**13], [2**12]),
    ("quantized_relu(3,3,is_quantized_clip=0,relu_upper_bound=5.5)", [5.9], [5], [5.5]),
]


def _values(text: str, x: list[float]) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(build_quantizer(parse_quantizer(text))(np.array(x, np.float32))))


@pytest.mark.parametrize(("text", "x", "ours", "theirs"), _LISTED, ids=[row[0] for row in _LISTED])
def test_a_fault_is_corrected_by_default_and_kept_with_compat(
    text: str, x: list[float], ours: list[float], theirs: list[float]
) -> None:
    np.testing.assert_allclose(_values(text, x), ours, rtol=1e-5)
    np.testing.assert_allclose(_values(f"{text[:-1]},compat=1)", x), theirs, rtol=1e-5)


def test_a_linear_quantizer_with_automatic_scale_is_no_identity_on_a_vector() -> None:
    x = [0.11, -0.52, 0.97]
    np.testing.assert_allclose(_values("quantized_linear(4,alpha='auto',compat=1)", x), x, rtol=1e-5)
    assert not np.allclose(_values("quantized_linear(4,alpha='auto')", x), x, rtol=1e-3)


def test_bernoulli_draws_at_inference_only_with_compat() -> None:
    x = [0.1] * 200
    assert set(_values("bernoulli", x)) == {1.0}
    assert set(_values("bernoulli(compat=1)", x)) == {0.0, 1.0}


def test_values_far_outside_the_range_lie_on_the_grid() -> None:
    assert _values("quantized_bits(8,3)", [1000.1, -12345.6]).tolist() == [8 - 2**-4, -8.0]
