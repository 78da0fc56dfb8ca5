"""Every figure can be explained, and the data type map is QTools'."""

import json

import pytest

from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import price, price_reference
from costmodel.explain import QTOOLS_DIFFERS, describe, explain
from costmodel.layer_classes import LAYER_CLASSES
from costmodel.settings import EnergySettings
from costmodel.type_map import data_type_map
from tests.costmodel.build import EXAMPLES, ready

INT4, INT8 = DataType(NumberFormat.FIXED, 4, 0), DataType(NumberFormat.FIXED, 8, 0)
RELU = DataType(NumberFormat.FIXED, 4, 2, signed=False)


def conv(**settings):
    prepared = ready("Conv2D", (8, 8, 2), filters=3, kernel_size=3)
    types = {"x": {"kernel": INT4, "bias": INT4, "activation": RELU}}
    return prepared, price(prepared, types, EnergySettings(source=INT8, **settings))


@pytest.mark.parametrize(
    ("class_name", "shapes", "config"), EXAMPLES, ids=[example[0] for example in EXAMPLES]
)
def test_the_lines_of_an_explanation_sum_to_the_layers_energy(class_name, shapes, config):
    report = price_reference(ready(class_name, *shapes, **config), EnergySettings())

    explanation = explain(report, "x")

    assert sum(line.energy_pj for line in explanation.lines) == pytest.approx(
        report.layer("x").energy.total_pj
    )
    assert sum(line.energy_pj for line in explanation.lines if line.included) == pytest.approx(
        explanation.included_pj
    )


@pytest.mark.parametrize(
    ("class_name", "shapes", "config"), EXAMPLES, ids=[example[0] for example in EXAMPLES]
)
def test_every_line_has_a_formula_and_a_source(class_name, shapes, config):
    explanation = explain(price_reference(ready(class_name, *shapes, **config), EnergySettings()), "x")

    assert all(line.formula and line.source for line in explanation.lines)


def test_a_count_times_its_price_is_the_lines_energy():
    for line in explain(conv()[1], "x").lines:
        assert line.count * line.unit_pj == pytest.approx(line.energy_pj)


def test_types_are_told_in_words():
    types = dict(explain(conv()[1], "x").types)

    assert types["input 0"] == "8 bits, 0 integer, signed"
    assert types["output"] == "4 bits, 2 integer, unsigned"
    assert types["accumulator"] == "17 bits, 6 integer, signed"


@pytest.mark.parametrize(
    ("data_type", "words"),
    [
        (DataType(NumberFormat.FLOAT, 16), "float 16"),
        (DataType(NumberFormat.TERNARY, 2), "-1, 0, 1"),
        (DataType(NumberFormat.BINARY, 1), "-1, 1"),
        (DataType(NumberFormat.BINARY_01, 1), "0, 1"),
        (DataType(NumberFormat.POWER_OF_TWO, 4, max_value=8.0), "power of two up to 8, 4 bits, signed"),
        (DataType(NumberFormat.POWER_OF_TWO, 4, signed=False), "power of two, 4 bits, unsigned"),
    ],
)
def test_each_kind_has_its_words(data_type, words):
    assert describe(data_type) == words


def test_the_gate_and_its_count_are_told():
    line = next(line for line in explain(conv()[1], "x").lines if line.description == "multiply: mul")

    assert line.formula.startswith("1944 * 1 * fixed_multiply(5.65685 bits)")


def test_second_hand_figures_are_marked():
    assert all(line.second_hand for line in explain(conv(profile="7nm")[1], "x").lines)


def test_what_is_wired_in_has_no_price():
    line = next(
        line
        for line in explain(conv(parameters_on_memory="fixed")[1], "x").lines
        if "kernel" in line.description
    )

    assert (line.formula, line.energy_pj, line.second_hand) == ("0", 0, False)


def test_dram_is_explained_with_the_write_that_follows_it():
    line = explain(conv(rd_wr_on_io=True)[1], "x").lines[0]

    assert line.formula == "1024 bits * 20.3125 pJ + ceil(1024 / 64) = 16 accesses * sram(1024 bits)"


def test_an_explanation_is_plain_data():
    text = json.dumps(explain(conv()[1], "x").as_dict())

    assert json.loads(text)["types"]["weight"] == "4 bits, 0 integer, signed"


def test_a_layer_that_is_not_there_has_no_explanation():
    with pytest.raises(KeyError):
        explain(conv()[1], "y")


def test_what_qtools_makes_of_a_layer_is_told():
    report = price_reference(ready("Conv2DTranspose", (8, 8, 3), filters=2, kernel_size=2), EnergySettings())

    assert explain(report, "x").qtools == "QTools counts no operations"


def test_differences_are_told_of_layers_that_exist():
    assert QTOOLS_DIFFERS.keys() <= LAYER_CLASSES.keys()


def test_the_map_has_qtools_fields_for_a_kernel():
    prepared, report = conv()

    explanation = data_type_map(report, prepared)

    assert explanation["source_quantizers"] == [
        {"quantizer_type": "quantized_bits", "bits": 8, "int_bits": 1, "is_signed": 1}
    ]
    assert list(explanation["x"]) == [
        "layer_type",
        "input_quantizer_list",
        "output_quantizer",
        "weight_quantizer",
        "bias_quantizer",
        "multiplier",
        "accumulator",
        "fused_accumulator",
        "operation_count",
    ]


def test_the_maps_integer_bits_count_the_sign_of_fixed_point():
    prepared, report = conv()

    explanation = data_type_map(report, prepared)["x"]

    assert explanation["output_quantizer"] == {
        "quantizer_type": "quantized_relu",
        "bits": 4,
        "int_bits": 2,
        "is_signed": 0,
        "shape": (-1, 6, 6, 3),
    }
    assert explanation["weight_quantizer"]["shape"] == (3, 3, 2, 3)
    assert explanation["bias_quantizer"]["shape"] == 3
    assert explanation["multiplier"]["op_type"] == "mul"
    assert (explanation["accumulator"]["bits"], explanation["accumulator"]["int_bits"]) == (17, 7)
    assert explanation["layer_type"] == "QConv2D"


def test_scales_that_are_powers_of_two_widen_the_fused_sum():
    prepared, report = conv()

    explanation = data_type_map(report, prepared, {"x": (2, -3)})["x"]

    assert explanation["fused_accumulator"]["bits"] == explanation["accumulator"]["bits"] + 2 + 3
    assert explanation["fused_accumulator"]["int_bits"] == explanation["accumulator"]["int_bits"] + 2


def test_the_map_names_the_gates_of_a_normalization():
    prepared = ready("BatchNormalization", (6, 6, 3))

    explanation = data_type_map(price_reference(prepared, EnergySettings()), prepared)["x"]

    assert {"gamma_quantizer", "beta_quantizer", "mean_quantizer", "variance_quantizer"} <= set(explanation)
    assert explanation["internal_divide_quantizer"]["op_type"] == "mul"
    assert explanation["internal_accumulator"] == {
        "quantizer_type": "floating_point",
        "bits": 32,
        "op_type": "add",
    }


@pytest.mark.parametrize(
    ("class_name", "shapes", "config"), EXAMPLES, ids=[example[0] for example in EXAMPLES]
)
def test_every_layer_has_a_place_in_the_map(class_name, shapes, config):
    prepared = ready(class_name, *shapes, **config)

    explanation = data_type_map(price_reference(prepared, EnergySettings()), prepared)

    assert json.dumps(explanation)
    assert explanation["x"]["operation_count"] > 0


def test_quantizers_are_named_as_qtools_names_them():
    names = {
        DataType(NumberFormat.POWER_OF_TWO, 4): "quantized_po2",
        DataType(NumberFormat.POWER_OF_TWO, 4, signed=False): "quantized_relu_po2",
        DataType(NumberFormat.TERNARY, 2, stochastic=True): "stochastic_ternary",
        DataType(NumberFormat.BINARY, 1): "binary",
        DataType(NumberFormat.BINARY_01, 1, signed=False, stochastic=True): "bernoulli",
    }
    for data_type, name in names.items():
        prepared = ready("Flatten", (3,))
        report = price(prepared, {}, EnergySettings(source=data_type))
        assert data_type_map(report, prepared)["source_quantizers"][0]["quantizer_type"] == name
