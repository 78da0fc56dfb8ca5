"""No operation on numbers of up to 32 bits costs more than a hundred of its kind in floating point."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import gate_pj, prepare, price, price_reference
from costmodel.errors import InvalidTypes
from costmodel.layer_classes import priced_slots
from costmodel.network import read_network
from costmodel.propagation import FLOAT32
from costmodel.settings import EnergySettings
from costmodel.typed_layer import MAX_INTEGER_BITS
from costmodel.wide import wide_outputs
from quantization.specs.parse import parse_quantizer
from tests.costmodel.build import EXAMPLES, functional, layer, single, source

IDS = [example[0] for example in EXAMPLES]
#: One quantizer of every kind with its widest and narrowest numbers.
EXPRESSIONS = (
    *("quantized_bits(1)", "quantized_bits(8,2)", "quantized_bits(32,10)", "quantized_relu(1,1)"),
    *("quantized_relu(6,3)", "quantized_relu(32,6)", "quantized_po2(2)", "quantized_po2(4,1)"),
    *("quantized_po2(8)", "quantized_po2(32)", "quantized_relu_po2(1)", "quantized_relu_po2(6)"),
    *(
        "quantized_relu_po2(6,negative_slope=0.25)",
        "quantized_relu_po2(32)",
        "binary",
        "binary(1)",
        "ternary",
    ),
    *("bernoulli", "stochastic_ternary", "quantized_tanh(8)", "quantized_sigmoid(32)"),
)
TYPES = (FLOAT32, *(parse_quantizer(text).data_type() for text in EXPRESSIONS))
drawn_types = st.sampled_from(TYPES) | st.builds(
    DataType, st.just(NumberFormat.FIXED), st.integers(2, 32), st.integers(-8, 32)
)


@pytest.mark.parametrize(("class_name", "shapes", "config"), EXAMPLES, ids=IDS)
def test_no_operation_costs_more_than_a_hundred_in_floating_point(class_name, shapes, config):
    network = single(class_name, *shapes, **config)
    prepared, slots = prepare(network), priced_slots(network.layer("x"))

    @settings(
        max_examples=12, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(data=st.data(), profile=st.sampled_from(["horowitz", "7nm"]))
    def check(data, profile):
        types = {slot: data.draw(st.none() | drawn_types, slot) for slot in slots}
        sources = tuple(data.draw(drawn_types, "input") for _ in shapes)
        where = EnergySettings(profile=profile, source=sources)
        try:
            layer = price(prepared, {"x": types}, where).layer("x")
        except InvalidTypes:  # a variance that is a sign
            return
        limit = 100 * max(where.technology.operation_pj(op, 32, 32) for op in ("mul", "add"))
        for operation in layer.work.operations:
            assert 0 <= gate_pj(operation, where) <= limit, (operation, types, sources)

    check()


@pytest.mark.parametrize("before", ["binary", "ternary", "binary(1)", "quantized_po2(4)"])
@pytest.mark.parametrize("scale", [True, False])
def test_a_normalization_by_a_power_of_two_shifts_signs(before, scale):
    network = single("BatchNormalization", (6, 6, 3), scale=scale)
    variance = parse_quantizer("quantized_relu_po2(6)").data_type()
    where = EnergySettings(source=parse_quantizer(before).data_type())

    layer = price(prepare(network), {"x": {"variance": variance}}, where).layer("x")

    floats = price(prepare(network), {}, EnergySettings()).layer("x")
    assert layer.energy.operations_pj <= floats.energy.operations_pj


def chain(length, **config):
    """Dense layers one behind the other."""
    names = [f"d{i}" for i in range(length)]
    layers = [
        layer("Dense", name, before, units=16, **config)
        for before, name in zip(["in", *names], names, strict=False)
    ]
    return prepare(read_network(functional(source("in", 16), *layers))), names


def test_sums_that_no_integer_unit_adds_are_floating_point():
    prepared, names = chain(200)
    kernel = parse_quantizer("quantized_bits(4,0,1)").data_type()
    report = price(prepared, {name: {"kernel": kernel, "bias": kernel} for name in names}, EnergySettings())

    widths = [layer.output_type.bits for layer in report.layers]
    wide = wide_outputs(report)

    assert max(widths) <= MAX_INTEGER_BITS
    assert report.layers[-1].output_type == FLOAT32
    assert report.energy_pj <= price_reference(prepared, EnergySettings()).energy_pj
    assert [width for width in wide.values() if "bits" in width] == [
        f"{bits} bits" for bits in widths if bits > 32 and bits != widths[-1]
    ]
    assert [*wide.values()].count("floating point") == 1  # only the first: behind it numbers are floats


def test_outputs_with_a_quantizer_are_not_wide():
    prepared, names = chain(200, activation="relu")
    kernel, output = (
        parse_quantizer(text).data_type() for text in ("quantized_bits(4,0,1)", "quantized_relu(4)")
    )
    slots = {"kernel": kernel, "bias": kernel, "activation": output}

    assert wide_outputs(price(prepared, dict.fromkeys(names, slots), EnergySettings())) == {}
