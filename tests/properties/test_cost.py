"""Laws every price obeys."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import prepare, price, price_many
from costmodel.network import read_network
from costmodel.propagation import accumulate, add, as_fixed, merge_add, merge_subtract, multiply
from costmodel.settings import EnergySettings
from tests.costmodel.build import EXAMPLES, functional, layer, ready, source

WEIGHT_SLOTS = (
    "kernel",
    "bias",
    "recurrent_kernel",
    "pointwise_kernel",
    "embeddings",
    "gamma",
    "beta",
    "alpha",
)
bits = st.integers(1, 16)


@st.composite
def fixed_types(draw, least=1):
    width = draw(st.integers(least, 16))
    signed = draw(st.booleans()) if width > 1 else False
    return DataType(NumberFormat.FIXED, width, draw(st.integers(0, width - signed)), signed)


powers = st.builds(
    DataType,
    st.just(NumberFormat.POWER_OF_TWO),
    st.integers(2, 6),
    signed=st.booleans(),
    max_value=st.none() | st.sampled_from([0.5, 1.0, 2.0, 8.0]),
)
signs = st.sampled_from(
    [
        DataType(NumberFormat.TERNARY, 2, 2),
        DataType(NumberFormat.BINARY, 1, 1),
        DataType(NumberFormat.BINARY_01, 1, 1, signed=False),
    ]
)
floats = st.sampled_from([DataType(NumberFormat.FLOAT, 16, -1), DataType(NumberFormat.FLOAT, 32, -1)])
types = fixed_types() | powers | signs | floats
memories = st.builds(
    EnergySettings,
    st.sampled_from(["horowitz", "7nm"]),
    source=fixed_types(),
    parameters_on_memory=st.sampled_from(["sram", "dram", "fixed"]),
    activations_on_memory=st.sampled_from(["sram", "dram", "fixed"]),
    min_sram_size_bits=st.sampled_from([0, 65536, 10**7]),
    rd_wr_on_io=st.booleans(),
    capacity_bits=st.none() | st.sampled_from([100, 10_000]),
    reuse=st.none() | st.integers(1, 1000),
)
kernels = st.sampled_from(
    [example for example in EXAMPLES if example[0].startswith(("Dense", "Conv", "Depthwise"))]
)


@given(example=kernels, where=memories, kernel=fixed_types(least=2), given_bits=st.integers(1, 15))
@settings(deadline=None)
def test_a_kernel_of_fewer_bits_never_costs_more(example, where, kernel, given_bits):
    class_name, shapes, config = example
    prepared = ready(class_name, *shapes, **config)
    fewer = replace(kernel, bits=min(given_bits, kernel.bits), int_bits=0)
    kernel = replace(kernel, int_bits=0)

    energies = [
        price(
            prepared, {"x": {"kernel": candidate, "bias": DataType(NumberFormat.FIXED, 8, 0)}}, where
        ).energy_pj
        for candidate in (fewer, kernel)
    ]

    assert energies[0] <= energies[1] * (1 + 1e-12)


@given(where=memories, low=bits, high=bits)
@settings(deadline=None)
def test_an_activation_of_fewer_bits_never_costs_more(where, low, high):
    low, high = sorted((low, high))
    prepared = prepare(
        read_network(
            functional(
                source("in", 8, 8, 2),
                layer("Conv2D", "c", "in", filters=4, kernel_size=3),
                layer("Activation", "a", "c", activation="relu"),
                layer("AveragePooling2D", "p", "a"),
                layer("Flatten", "f", "p"),
                layer("Dense", "d", "f", units=3),
            )
        )
    )
    kernel = DataType(NumberFormat.FIXED, 4, 0)

    energies = [
        price(
            prepared,
            {
                "c": {"kernel": kernel, "bias": kernel},
                "a": {"activation": DataType(NumberFormat.FIXED, width, 0, signed=False)},
                "d": {"kernel": kernel, "bias": kernel},
            },
            where,
        ).energy_pj
        for width in (low, high)
    ]

    assert energies[0] <= energies[1] * (1 + 1e-12)


@given(kernel=types, x=types, half=st.integers(1, 8))
@settings(deadline=None)
def test_splitting_the_output_channels_in_two_halves_keeps_the_energy_of_the_products(kernel, x, half):
    slots = {"x": {"kernel": kernel, "bias": DataType(NumberFormat.FIXED, 8, 0)}}
    where = EnergySettings(source=x)

    def products(filters):
        prepared = ready("Conv2D", (6, 6, 3), filters=filters, kernel_size=3)
        return price(prepared, slots, where).layer("x").energy.operations_pj

    assert products(2 * half) == pytest.approx(2 * products(half))


@given(where=memories, kernel=types)
@settings(deadline=None)
def test_energies_are_additive_over_layers(where, kernel):
    chain = [source("in", 12), layer("Dense", "a", "in", units=8), layer("Dense", "b", "a", units=8)]
    report = price(
        prepare(read_network(functional(*chain))),
        {name: {"kernel": kernel, "bias": kernel} for name in "ab"},
        where,
    )

    assert report.energy_pj == pytest.approx(
        sum(priced_layer.energy.included_pj for priced_layer in report.layers)
    )
    for priced_layer in report.layers:
        assert priced_layer.energy.included_pj == pytest.approx(
            sum(getattr(priced_layer.energy, f"{part}_pj") for part in priced_layer.energy.included)
        )


@given(
    example=st.sampled_from(EXAMPLES),
    where=memories,
    data_type=fixed_types(least=2) | powers.filter(lambda data_type_of: data_type_of.bits < 6),
)
@settings(deadline=None, max_examples=200)
def test_no_price_is_negative_or_not_a_number(example, where, data_type):
    class_name, shapes, config = example
    slots = dict.fromkeys((*WEIGHT_SLOTS, "activation", "mean", "variance"), data_type)

    report = price(ready(class_name, *shapes, **config), {"x": slots}, where)

    assert 0 <= report.energy_pj < float("inf")
    assert 0 < report.total_pj < float("inf") or where.activations_on_memory == "fixed"


@given(weight=types, x=types)
def test_a_product_holds_the_product_of_the_largest_numbers(weight, x):
    _, product = multiply(weight, x)
    if NumberFormat.FLOAT in (weight.format, x.format):
        assert product.format is NumberFormat.FLOAT
        return

    assert largest(weight) * largest(x) <= largest(product) * 1.0000001


def largest(data_type):
    """No number of the type is larger."""
    if data_type.format in (NumberFormat.BINARY, NumberFormat.BINARY_01, NumberFormat.TERNARY):
        return 1.0
    bound = float("inf") if data_type.max_value is None else data_type.max_value
    return min(bound, 2.0 ** as_fixed(data_type).int_bits)


@given(product=fixed_types(), terms=st.integers(1, 10_000))
def test_a_sum_has_room_for_all_its_terms(product, terms):
    total = accumulate(product, terms)

    assert 2**total.int_bits >= terms * 2**product.int_bits
    assert total.fraction_bits == product.fraction_bits


@given(first=fixed_types(), second=fixed_types())
def test_a_sum_of_two_keeps_every_bit(first, second):
    total = add(first, second)

    assert total.fraction_bits == max(first.fraction_bits, second.fraction_bits)
    assert total.int_bits > max(first.int_bits, second.int_bits)


@given(kernels_bits=st.lists(bits, min_size=1, max_size=6), where=memories)
@settings(deadline=None)
def test_the_order_of_a_batch_does_not_matter(kernels_bits, where):
    prepared = ready("Dense", (12,), units=7)
    batch = [{"x": {"kernel": DataType(NumberFormat.FIXED, width, 0)}} for width in kernels_bits]

    assert price_many(prepared, batch, where) == price_many(prepared, batch[::-1], where)[::-1]


@given(given_types=st.lists(fixed_types(), min_size=2, max_size=5))
def test_a_sum_of_tensors_has_room_for_all_of_them(given_types):
    total = merge_add(given_types)

    assert 2**total.int_bits >= sum(2**data_type.int_bits for data_type in given_types)
    assert total.fraction_bits == max(data_type.fraction_bits for data_type in given_types)


@given(given_types=st.lists(fixed_types(), min_size=2, max_size=2))
def test_a_difference_of_tensors_is_signed_and_keeps_every_bit(given_types):
    difference = merge_subtract(given_types)

    first, second = given_types
    most = 2**first.int_bits + (2**second.int_bits if second.signed else 0)
    assert difference.signed
    assert 2**difference.int_bits >= most or not any(data_type.signed for data_type in given_types)
    assert difference.fraction_bits == max(data_type.fraction_bits for data_type in given_types)
