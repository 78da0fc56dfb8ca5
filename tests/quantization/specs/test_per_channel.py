"""Expressions of widths for each channel."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantization.specs.parse import QuantizerError, as_spec, parse_quantizer
from quantization.specs.per_channel import QuantizedBitsPerChannel


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("quantized_bits([8,6,4],[0,1,0])", "quantized_bits_per_channel([8,6,4],[0,1,0])"),
        ("quantized_bits([8,6,4])", "quantized_bits_per_channel([8,6,4],[0,0,0])"),
        ("quantized_bits(8,[0,1])", "quantized_bits_per_channel([8,8],[0,1])"),
        ("quantized_bits([8,0],1,1,alpha=1.0)", "quantized_bits_per_channel([8,0],[1,1],symmetric=1)"),
        (
            "quantized_bits([1,4],keep_negative=0,use_ste=1)",
            "quantized_bits_per_channel([1,4],[0,0],keep_negative=0)",
        ),
        ("quantized_bits_per_channel([3],[1])", "quantized_bits_per_channel([3],[1])"),
    ],
)
def test_lists_of_bits_are_read_and_written(text: str, written: str) -> None:
    spec = parse_quantizer(text)
    assert str(spec) == written
    assert parse_quantizer(written) == as_spec(spec.model_dump(mode="json")) == spec
    assert as_spec({"kind": "quantized_bits", "bits": [4, 2]}) == parse_quantizer("quantized_bits([4,2])")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("quantized_bits([8,6,4],[0,1])", "3 bits and 2 integer bits: write one of each for every channel"),
        ("quantized_bits([8,1])", "channel 1 has 1 bit, which is a sign alone: write 0 for zeros"),
        ("quantized_bits([8,33])", "less than or equal to 32"),
        ("quantized_bits([])", "at least 1"),
        ("quantized_bits([8,4],alpha='auto')", "alpha='auto' needs one width for all channels"),
        ("quantized_bits([8,4],use_stochastic_rounding=1)", "needs one width for all channels"),
        ("quantized_bits([8,4],qnoise_factor=0.5)", "leave it out"),
        ("quantized_relu([8,4])", "bits"),
    ],
)
def test_lists_that_do_not_fit_are_refused(text: str, words: str) -> None:
    with pytest.raises(QuantizerError, match=words):
        parse_quantizer(text)


@given(
    st.lists(st.tuples(st.integers(2, 16), st.integers(-8, 8)), min_size=1, max_size=9),
    st.booleans(),
    st.booleans(),
)
def test_its_type_holds_every_channel(pairs: list[tuple[int, int]], signed: bool, symmetric: bool) -> None:
    bits, integers = zip(*pairs, strict=True)
    spec = QuantizedBitsPerChannel(
        channel_bits=bits, channel_integers=integers, keep_negative=signed, symmetric=symmetric
    )
    whole = spec.data_type()
    step = 2.0**-whole.fraction_bits
    top = (2 ** (whole.bits - signed) - 1) * step
    for width, fraction in zip(spec.channel_bits, spec.fraction_bits(), strict=True):
        low, high = spec.code_range(width)
        assert (2.0**-fraction / step).is_integer()
        assert -top - step <= low * 2.0**-fraction
        assert high * 2.0**-fraction <= top
    assert spec.bits == max(bits)
    assert whole.channel_bits == (() if len(set(pairs)) == 1 else spec.channel_bits)
