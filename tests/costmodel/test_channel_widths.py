"""Widths for each output channel of a weight: what they cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costmodel.bits import BitsSettings, model_bits
from costmodel.channel_widths import CHANNEL_CLASSES, check_channel_widths
from costmodel.costs import CostSettings, bops, ebops
from costmodel.data_type import DataType, NumberFormat
from costmodel.effective import effective_costs
from costmodel.energy import Prepared, prepare, price
from costmodel.errors import InvalidTypes
from costmodel.explain import describe
from costmodel.network import read_network
from quantization.specs.per_channel import QuantizedBitsPerChannel
from tests.costmodel.build import functional, layer, source

INPUT = DataType(NumberFormat.FIXED, 5, 1)
SETTINGS = CostSettings()
FILTERS = 4

#: Bits and integer bits of each filter.
channels = st.lists(
    st.tuples(st.sampled_from([0, 2, 3, 5, 8]), st.integers(-1, 2)), min_size=FILTERS, max_size=FILTERS
)


def convolution(filters: int = FILTERS, class_name: str = "Conv2D", **options: object) -> Prepared:
    return prepare(
        read_network(
            functional(
                source("input", 6, 6, 3),
                layer(class_name, "conv", "input", kernel_size=3, filters=filters, **options),
            )
        )
    )


CONVOLUTION, ONE_FILTER = convolution(), convolution(1)


def types(kernel: DataType, bias: DataType | None = None) -> dict[str, dict[str, DataType | None]]:
    return {"input": {"activation": INPUT}, "conv": {"kernel": kernel, "bias": bias or kernel}}


def of_channels(pairs: list[tuple[int, int]]) -> DataType:
    bits, integers = zip(*pairs, strict=True)
    return QuantizedBitsPerChannel(channel_bits=bits, channel_integers=integers).data_type()


def costs(network: Prepared, kernel: DataType) -> tuple[float, ...]:
    report = price(network, types(kernel), SETTINGS.energy)
    stored = model_bits(network.network, types(kernel), BitsSettings())
    return report.energy_pj, bops(report, network), ebops(report, network), stored.total


@given(st.integers(2, 16), st.integers(-4, 8))
def test_equal_widths_cost_what_one_width_does(bits: int, integer: int) -> None:
    one = DataType(NumberFormat.FIXED, bits, integer)
    assert of_channels([(bits, integer)] * FILTERS) == one
    listed = replace(one, channel_bits=(bits,) * FILTERS)
    assert costs(CONVOLUTION, listed) == pytest.approx(costs(CONVOLUTION, one))


@given(channels, st.permutations(range(FILTERS)))
def test_the_order_of_channels_costs_nothing(pairs: list[tuple[int, int]], order: list[int]) -> None:
    moved = of_channels([pairs[index] for index in order])
    assert costs(CONVOLUTION, moved) == costs(CONVOLUTION, of_channels(pairs))


@given(channels)
def test_bits_and_bit_operations_are_the_sums_over_channels(pairs: list[tuple[int, int]]) -> None:
    whole = price(CONVOLUTION, types(of_channels(pairs)), SETTINGS.energy)
    alone = []
    for bits, integer in pairs:
        if bits:
            one = DataType(NumberFormat.FIXED, bits, integer)
            report = price(ONE_FILTER, types(one), SETTINGS.energy)
            alone.append((bops(report, ONE_FILTER), ebops(report, ONE_FILTER), bits * (27 + 1)))
    summed = [sum(values) for values in zip(*alone, strict=True)] or [0.0, 0.0, 0]
    conv = next(entry for entry in whole.layers if entry.name == "conv")
    stored = sum(data_type.stored_bits(parameter.elements) for parameter, data_type in conv.work.parameters)
    assert [bops(whole, CONVOLUTION), ebops(whole, CONVOLUTION), stored] == pytest.approx(summed)


@given(channels)
def test_fewer_bits_of_a_channel_never_cost_more(pairs: list[tuple[int, int]]) -> None:
    widest = [(8, integer) for _, integer in pairs]
    dear, cheap = costs(CONVOLUTION, of_channels(widest)), costs(CONVOLUTION, of_channels(pairs))
    assert all(less <= more * (1 + 1e-12) for less, more in zip(cheap, dear, strict=True))


@given(channels, st.booleans(), st.integers(0, 2**32 - 1))
def test_trained_weights_cost_at_most_what_their_types_do(
    pairs: list[tuple[int, int]], zero_skipping: bool, seed: int
) -> None:
    data_type = of_channels(pairs)
    ends = np.array([2 ** max(bits - 1, 0) - 1 for bits, _ in pairs])
    numbers = np.random.default_rng(seed).integers(-ends, ends + 1, (3, 3, 3, FILTERS))
    codes = {"conv": {"kernel": numbers, "bias": numbers[0, 0, 0]}}
    for cost in effective_costs(
        CONVOLUTION, types(data_type), codes, SETTINGS, zero_skipping=zero_skipping
    ).values():
        energy, _, bit_operations, stored = costs(CONVOLUTION, data_type)
        assert cost.energy_pj <= energy * (1 + 1e-12)
        assert cost.ebops <= bit_operations * (1 + 1e-12)
        assert cost.bits <= stored


@pytest.mark.parametrize(
    ("class_name", "slot", "widths", "words"),
    [
        ("Conv2D", "kernel", 3, "kernel lists 3 widths, the layer has 4 channels: list 4, or one for all"),
        ("Conv2D", "activation", 4, "give the activation of Conv2D one width"),
        ("SeparableConv2D", "pointwise_kernel", 4, "give the pointwise_kernel of SeparableConv2D one width"),
    ],
)
def test_widths_that_do_not_fit_a_layer_are_refused_by_name(
    class_name: str, slot: str, widths: int, words: str
) -> None:
    network = convolution(class_name=class_name)
    listed = DataType(NumberFormat.FIXED, 4, 0, channel_bits=(4, 3, 2, 2)[:widths])
    with pytest.raises(InvalidTypes, match=f"'conv'.*{words}"):
        price(network, {"conv": {slot: listed}}, SETTINGS.energy)
    with pytest.raises(InvalidTypes, match=words):
        model_bits(network.network, {"conv": {slot: listed}}, BitsSettings())
    with pytest.raises(InvalidTypes, match=words):
        check_channel_widths(network.network.layer("conv"), {slot: listed})


def test_layers_of_one_kernel_have_widths_for_each_channel() -> None:
    assert {"Dense", "Conv1D", "Conv2D", "DepthwiseConv2D", "Conv2DTranspose"} <= CHANNEL_CLASSES
    assert not {"SeparableConv2D", "LSTM", "Embedding", "MultiHeadAttention", "Dot"} & CHANNEL_CLASSES


def test_a_price_says_how_many_channels_have_how_many_bits() -> None:
    assert describe(of_channels([(3, 0), (2, 0), (3, 0), (0, 0)])) == (
        "3 bits, 0 integer, signed, by channel 1 of 0 bits, 1 of 2 bits, 2 of 3 bits"
    )
