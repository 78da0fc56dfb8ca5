"""Hypothesis strategies: every quantizer specification that may be written."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st
from pydantic import ValidationError

from quantization.specs.parse import KINDS, QuantizerSpec, as_spec

_positive = st.floats(1e-3, 1e3)
_per_channel = st.lists(_positive, min_size=1, max_size=3)
_scales = st.none() | st.sampled_from(["auto", "auto_po2"]) | _positive | _per_channel
_axes = st.none() | st.integers(0, 3) | st.lists(st.integers(0, 3), min_size=1, max_size=2)

#: Values of a field, by its name.
FIELDS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "bits": st.integers(2, 8),
    "integer": st.integers(-2, 8),
    "alpha": _scales,
    "scale_axis": _axes,
    "elements_per_scale": st.none() | st.integers(1, 4),
    "min_po2_exponent": st.none() | st.integers(-8, 0),
    "max_po2_exponent": st.none() | st.integers(1, 8),
    "post_training_scale": st.none() | _positive,
    "qnoise_factor": st.floats(0, 1),
    "negative_slope": st.sampled_from([0.0, 0.125, 0.25, 0.5]),
    "relu_upper_bound": st.none() | _positive,
    "max_value": st.none() | _positive,
    "log2_rounding": st.sampled_from(["rnd", "floor"]),
    "u": _positive,
    "temperature": _positive,
    "threshold": st.none() | st.floats(0.01, 0.99),
    "number_of_unrolls": st.integers(1, 8),
    "relu_shift": st.integers(1, 6),
    "scale_factors": _positive | _per_channel,
    "step": st.none() | _positive,
}
#: Fields whose values differ between kinds.
_OF_KIND: Final[dict[tuple[str, str], st.SearchStrategy[Any]]] = {
    ("quantized_hswish", "relu_upper_bound"): st.integers(1, 8),
    ("std", "threshold"): _positive,
    ("std_per_axis", "threshold"): _positive,
    ("trainable_std", "threshold"): _positive,
}


@st.composite
def specs(draw: st.DrawFn, bits: st.SearchStrategy[int] = FIELDS["bits"]) -> QuantizerSpec:
    """Any specification: some fields given, the others default, combinations that are refused left out."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    names = [name for name in KINDS[kind].model_fields if name != "kind"]
    drawn = draw(st.lists(st.sampled_from(names), unique=True, max_size=5))
    values = {
        name: draw(bits if name == "bits" else _OF_KIND.get((kind, name), FIELDS.get(name, st.booleans())))
        for name in sorted(drawn)
    }
    try:
        return as_spec({"kind": kind} | values)
    except (ValidationError, ValueError):
        return as_spec({"kind": kind})
