"""Bits, MACs, bit operations, peak memory: the costs besides energy."""

import math

import pytest

from costmodel.bits import BitsSettings, model_bits, reference_bits
from costmodel.costs import COSTS, UNITS, CostSettings, network_cost
from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import prepare, price
from costmodel.errors import InvalidNetwork, InvalidSettings
from costmodel.fold import folded
from costmodel.foldable import FOLDED, foldable_pairs
from costmodel.network import read_network
from costmodel.settings import EnergySettings
from tests.costmodel.build import EXAMPLES, functional, layer, ready, single, source

INT4, INT8 = DataType(NumberFormat.FIXED, 4, 0), DataType(NumberFormat.FIXED, 8, 0)
BINARY, TERNARY = DataType(NumberFormat.BINARY, 1), DataType(NumberFormat.TERNARY, 2)


def qkeras_test_network():
    """The network QKeras counts the bits of in its own tests."""
    conv = {"filters": 32, "kernel_size": 3, "padding": "same"}
    layers = [
        source("input", 28, 28, 1),
        layer("Conv2D", "c1", "input", **conv),
        layer("BatchNormalization", "b1", "c1"),
        layer("Activation", "a1", "b1", activation="relu"),
        layer("MaxPooling2D", "mp1", "a1", pool_size=2),
        layer("Conv2D", "c2", "mp1", **conv),
        layer("BatchNormalization", "b2", "c2"),
        layer("Activation", "a2", "b2", activation="relu"),
        layer("MaxPooling2D", "mp2", "a2", pool_size=2),
        layer("Conv2D", "c3", "mp2", **conv),
        layer("Flatten", "flatten", "c3"),
        layer("Dense", "dense", "flatten", units=1, activation="softmax"),
    ]
    return read_network(functional(*layers))


QKERAS_TYPES = {
    "c2": {"kernel": BINARY, "bias": BINARY},
    "b2": {},
    "a2": {"activation": BINARY},
    "c3": {"kernel": TERNARY, "bias": TERNARY, "activation": BINARY},
}
QKERAS_CONFIG = {
    **dict.fromkeys(("Dense", "QDense", "Conv2D", "QConv2D"), ("parameters", "activations")),
    **dict.fromkeys(("Activation", "QActivation"), ("activations",)),
    **dict.fromkeys(("BatchNormalization", "QBatchNormalization"), ("parameters",)),
    "default": ("activations",),
}


def test_qkeras_network_has_258544_bits():
    settings = BitsSettings(config=QKERAS_CONFIG, accounting="qtools")

    report = model_bits(qkeras_test_network(), QKERAS_TYPES, settings)

    assert (report.total, report.parameters, report.activations) == (258544, 43720, 214824)


def test_a_binary_kernel_and_a_four_bit_bias_leave_416_bits():
    settings = BitsSettings(config=QKERAS_CONFIG, accounting="qtools")
    types = {**QKERAS_TYPES, "c1": {"kernel": BINARY, "bias": INT4}}

    report = model_bits(qkeras_test_network(), types, settings)

    assert next(layer_bits for layer_bits in report.layers if layer_bits.name == "c1").parameters == 416


def test_corrected_bits_count_every_vector_of_a_normalization():
    report = reference_bits(single("BatchNormalization", (6, 6, 3)), BitsSettings())

    assert report.parameters == 4 * 3 * 8


@pytest.mark.parametrize(
    ("class_name", "shapes", "config"), EXAMPLES, ids=[example[0] for example in EXAMPLES]
)
def test_every_parameter_counts_its_slots_bits(class_name, shapes, config):
    prepared = ready(class_name, *shapes, **config)
    slots = {parameter.slot: INT4 for parameter in prepared.nodes[0].lowering.parameters}

    report = model_bits(prepared.network, {"x": slots}, BitsSettings())

    assert report.parameters == 4 * sum(
        parameter.elements for parameter in prepared.nodes[0].lowering.parameters
    )


def test_bytes_are_whole():
    report = reference_bits(
        single("Dense", (3,), units=1, use_bias=False), BitsSettings(input_bits=1, ref_bits=1)
    )

    assert (report.total, report.bytes) == (6, 1)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input_bits", 0),
        ("ref_bits", 8.0),
        ("output_bits", True),
        ("accounting", "mine"),
        ("config", []),
        ("config", {"default": []}),
        ("config", {}),
    ],
)
def test_bit_settings_that_make_no_sense_are_refused(field, value):
    with pytest.raises(InvalidSettings, match=field):
        BitsSettings(**{field: value})


def test_an_unknown_part_of_a_layer_is_refused():
    with pytest.raises(InvalidSettings, match=r"config\.Dense: must list some of parameters, activations"):
        BitsSettings(config={"Dense": ["weights"]})


def test_every_cost_has_a_unit():
    assert set(COSTS) == set(UNITS)


@pytest.mark.parametrize("name", COSTS)
def test_every_cost_of_a_quantized_network_is_positive_and_not_above_the_references(name):
    prepared = ready("Conv2D", (8, 8, 2), filters=3, kernel_size=3, activation="relu")
    types = {"x": {"kernel": INT4, "bias": INT4, "activation": INT4}}

    trial = network_cost(name, prepared, types)

    assert 0 < trial <= network_cost(name, prepared, None)


def test_an_unknown_cost_is_refused_with_those_known():
    with pytest.raises(InvalidSettings, match="'latency' is unknown; known: energy, bits"):
        network_cost("latency", ready("Flatten", (3,)), {})


def test_macs_do_not_depend_on_types():
    prepared = ready("Conv2D", (8, 8, 2), filters=3, kernel_size=3)

    assert (
        network_cost("macs", prepared, None)
        == network_cost("macs", prepared, {"x": {"kernel": INT4}})
        == 36 * 54
    )


def test_bit_operations_follow_the_formula_of_uniq():
    prepared = ready("Conv2D", (8, 8, 2), filters=3, kernel_size=3)
    settings = CostSettings(EnergySettings(source=INT8))

    cost = network_cost("bops", prepared, {"x": {"kernel": INT4, "bias": INT4}}, settings)

    assert cost == pytest.approx(36 * 54 * (8 * 4 + 8 + 4 + math.log2(18)))


def test_effective_bit_operations_count_the_product_and_the_bias():
    prepared = ready("Conv2D", (8, 8, 2), filters=3, kernel_size=3)
    settings = CostSettings(EnergySettings(source=INT8))

    cost = network_cost("ebops", prepared, {"x": {"kernel": INT4, "bias": INT8}}, settings)

    assert cost == 36 * 54 * 8 * 4 + 36 * 3 * 8


def peak(*layers, types=None):
    prepared = prepare(read_network(functional(*layers)))
    settings = CostSettings(EnergySettings(source=INT8, internal=INT8, accumulator=INT8))
    return network_cost("peak_activation_bits", prepared, types or {}, settings)


def test_a_chain_holds_a_layers_input_and_output_at_most():
    layers = [
        source("in", 10),
        layer("Dense", "a", "in", units=100),
        layer("Dense", "b", "a", units=50),
        layer("Dense", "c", "b", units=10),
    ]

    assert peak(*layers) == (100 + 50) * 8


def test_a_shortcut_is_held_until_it_is_added():
    layers = [
        source("in", 100),
        layer("Dense", "a", "in", units=200),
        layer("Dense", "b", "a", units=100),
        layer("Add", "sum", "in", "b"),
    ]

    assert peak(*layers) == (100 + 200 + 100) * 8


def test_what_an_activation_takes_over_is_never_held():
    layers = [
        source("in", 10),
        layer("Dense", "a", "in", units=100),
        layer("BatchNormalization", "n", "a"),
        layer("Activation", "r", "n", activation="relu"),
        layer("Dense", "c", "r", units=1),
    ]

    assert peak(*layers, types={"r": {"activation": INT4}}) == 10 * 8 + 100 * 4


def folding(**config):
    return read_network(
        functional(
            source("in", 8, 8, 3),
            layer("Conv2D", "c", "in", filters=4, kernel_size=3, use_bias=False, **config),
            layer("BatchNormalization", "n", "c"),
            layer("ReLU", "r", "n"),
        )
    )


def test_folding_leaves_one_layer_with_a_bias():
    network = folded(folding())

    assert [(entry.name, entry.class_name) for entry in network.layers] == [
        ("in", "InputLayer"),
        ("c", FOLDED["Conv2D"]),
        ("r", "ReLU"),
    ]
    assert network.layer("r").inbound == ("c",)
    report = price(prepare(network), {"c": {"kernel": INT4, "bias": INT4}}, EnergySettings(source=INT8))
    assert [parameter.elements for parameter, _ in report.layer("c").work.parameters] == [108, 4]


def test_folding_a_last_normalization_moves_the_output():
    network = read_network(
        functional(source("in", 4), layer("Dense", "d", "in", units=2), layer("BatchNormalization", "n", "d"))
    )

    assert folded(network).outputs == ("d",)


def test_a_normalization_behind_a_function_does_not_fold():
    network = folding(activation="relu")

    assert foldable_pairs(network) == {}
    assert folded(network) == network
    with pytest.raises(InvalidNetwork, match="'n': cannot be folded"):
        folded(network, ["n"])


def test_a_normalization_of_a_tensor_others_read_does_not_fold():
    network = read_network(
        functional(
            source("in", 4),
            layer("Dense", "d", "in", units=2),
            layer("BatchNormalization", "n", "d"),
            layer("Add", "s", "d", "n"),
        )
    )

    assert foldable_pairs(network) == {}
