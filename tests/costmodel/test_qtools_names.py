"""Types that QTools reads off the name of a quantizer; the figures are those of qkeras-v3 1.2.1."""

from __future__ import annotations

import pytest

from costmodel.energy import prepare, price
from costmodel.network import read_network
from costmodel.settings import EnergySettings
from quantization.specs.parse import parse_quantizer
from tests.costmodel.build import functional, layer, source

INPUT = parse_quantizer("quantized_bits(8,0,1)").data_type()
QTOOLS = EnergySettings(profile="horowitz-qkeras", source=INPUT)


def priced(network, quantizers, settings=QTOOLS):
    """The report of a network with quantizers by their expressions."""
    types = {
        name: {slot: parse_quantizer(text).data_type() for slot, text in slots.items()}
        for name, slots in quantizers.items()
    }
    return price(prepare(read_network(network)), types, settings)


@pytest.mark.parametrize(
    ("text", "operations_pj", "outputs_pj", "sum_bits", "integer_bits"),
    [
        ("quantized_relu_po2(4,negative_slope=0.25)", 10.48, 1.72, 28, 12),
        ("quantized_relu(1,1,negative_slope=0.25)", 3.62, 0.94, 13, 6),
        ("quantized_relu(1,1)", 3.62, 0.94, 13, 6),
    ],
)
def test_a_kernel_of_a_relu(text, operations_pj, outputs_pj, sum_bits, integer_bits):
    network = functional(source("in", 12), layer("Dense", "d", "in", units=7))

    dense = priced(network, {"d": {"kernel": text, "bias": "quantized_bits(4,0,1)"}}).layer("d")

    assert (dense.energy.operations_pj, dense.energy.outputs_pj) == (operations_pj, outputs_pj)
    assert (dense.output_type.bits, dense.output_type.int_bits) == (sum_bits, integer_bits)


@pytest.mark.parametrize(
    ("text", "operations_pj", "outputs_pj", "sum_bits", "integer_bits"),
    [
        ("quantized_relu_po2(4,negative_slope=0.25)", 8.2, 1.32, 24, 12),
        ("quantized_relu(1,1,negative_slope=0.25)", 2.47, 0.48, 9, 5),
        ("quantized_relu(1,1)", 2.47, 0.48, 9, 5),
    ],
)
def test_an_input_that_is_a_relu(text, operations_pj, outputs_pj, sum_bits, integer_bits):
    network = functional(
        source("in", 12),
        layer("Activation", "a", "in", activation="relu"),
        layer("Dense", "d", "a", units=7),
    )
    four = "quantized_bits(4,0,1)"

    dense = priced(network, {"a": {"activation": text}, "d": {"kernel": four, "bias": four}}).layer("d")

    assert (dense.energy.operations_pj, dense.energy.outputs_pj) == (operations_pj, outputs_pj)
    assert (dense.output_type.bits, dense.output_type.int_bits) == (sum_bits, integer_bits)


@pytest.mark.parametrize(
    ("text", "operations_pj", "outputs_pj", "bits"),
    [
        ("quantized_relu_po2(4,negative_slope=0.25)", 0.36, 1.65, 21),
        ("quantized_relu(1,1,negative_slope=0.25)", 0.02, 0.95, 6),
        ("quantized_relu(1,1)", 0.02, 0.95, 6),
    ],
)
def test_a_product_of_tensors_whose_first_is_a_relu(text, operations_pj, outputs_pj, bits):
    network = functional(
        source("in", 12),
        layer("Activation", "a", "in", activation="relu"),
        layer("Activation", "b", "in", activation="linear"),
        layer("Multiply", "m", "a", "b"),
    )

    product = priced(
        network, {"a": {"activation": text}, "b": {"activation": "quantized_bits(6,1,1)"}}
    ).layer("m")

    assert (product.energy.operations_pj, product.energy.outputs_pj) == (operations_pj, outputs_pj)
    assert (product.output_type.bits, product.output_type.int_bits) == (bits, {6: 1, 21: 8}[bits])


def test_qtools_loses_the_shape_of_a_normalization_right_behind_the_input_only():
    direct = functional(source("in", 6, 6, 3), layer("BatchNormalization", "n", "in"))
    behind = functional(
        source("in", 6, 6, 3), layer("Dropout", "o", "in", rate=0.2), layer("BatchNormalization", "n", "o")
    )

    written = [priced(network, {"n": {}}).layer("n").accesses[-1].elements for network in (direct, behind)]

    assert written == [1, 108]


def test_a_negative_slope_makes_powers_of_two_signed_where_counts_are_right():
    network = functional(source("in", 12), layer("Dense", "d", "in", units=7))
    slots = {"d": {"kernel": "quantized_relu_po2(4,negative_slope=0.25)"}}

    right = priced(network, slots, EnergySettings(source=INPUT)).layer("d")

    assert right.work.types["weight"].signed
    assert not priced(network, slots).layer("d").work.types["weight"].signed
