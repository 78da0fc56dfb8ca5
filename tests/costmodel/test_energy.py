"""Prices of whole networks and of every layer."""

import json
from dataclasses import asdict, replace

import pytest

from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import prepare, price, price_many, price_reference
from costmodel.layer import elements
from costmodel.layer_energy import PARTS, LayerEnergy
from costmodel.network import read_network
from costmodel.propagation import FLOAT32
from costmodel.settings import EnergySettings
from costmodel.technology import PROFILES
from tests.costmodel.build import EXAMPLES, functional, layer, ready, source

INT4 = DataType(NumberFormat.FIXED, 4, 0)
INT8 = DataType(NumberFormat.FIXED, 8, 0)
RELU4 = DataType(NumberFormat.FIXED, 4, 0, signed=False)
BINARY = DataType(NumberFormat.BINARY, 1)
SRAM16MB = 8 * 16 * 2**20
SLOTS = (
    "kernel",
    "bias",
    "activation",
    "gamma",
    "beta",
    "mean",
    "variance",
    "recurrent_kernel",
    "embeddings",
    "alpha",
)


def conv_block():
    """The notebook's network for MNIST: five strided convolutions and a head of 1 by 1."""
    layers, last = [source("in", 28, 28, 1)], "in"
    for index, filters in enumerate((16, 32, 48, 64, 128)):
        config = {"filters": filters, "kernel_size": 3, "strides": 2, "padding": "same", "use_bias": False}
        layers += [
            layer("Conv2D", f"conv_{index}", last, **config),
            layer("BatchNormalization", f"bn_{index}", f"conv_{index}"),
            layer("Activation", f"act_{index}", f"bn_{index}", activation="relu"),
            layer("Dropout", f"drop_{index}", f"act_{index}", rate=0.2),
        ]
        last = f"drop_{index}"
    head = layer("Conv2D", "dense", last, filters=10, kernel_size=1, padding="same")
    layers += [
        head,
        layer("Activation", "softmax", "dense", activation="softmax"),
        layer("Flatten", "flat", "softmax"),
    ]
    return prepare(read_network(functional(*layers)))


def perceptron():
    """784-300-100-10, the network QKeras prices in its own tests."""
    layers = [
        source("in", 784),
        layer("Dense", "d0", "in", units=300),
        layer("Activation", "a0", "d0", activation="relu"),
        layer("Dense", "d1", "a0", units=100),
        layer("Activation", "a1", "d1", activation="relu"),
        layer("Dense", "d2", "a1", units=10),
        layer("Activation", "softmax", "d2", activation="softmax"),
    ]
    return prepare(read_network(functional(*layers)))


PERCEPTRON_TYPES = {
    "d0": {"kernel": BINARY, "bias": BINARY},
    "a0": {"activation": RELU4},
    "d1": {"kernel": INT4, "bias": INT4},
    "a1": {"activation": RELU4},
    "d2": {"kernel": INT4, "bias": INT4},
}
QKERAS = EnergySettings(
    "horowitz-qkeras", source="int8", internal="int8", accumulator="int32", min_sram_size_bits=SRAM16MB
)


def parts(priced_layer):
    energy = priced_layer.energy
    return (energy.inputs_pj, energy.outputs_pj, energy.parameters_pj, energy.operations_pj)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("d0", (372.77, 570.57, 111975.96, 70560.0)),
        ("d1", (570.57, 190.19, 14313.66, 26500.0)),
        ("d2", (190.19, 19.02, 483.08, 883.33)),
    ],
)
def test_the_reference_of_the_perceptron_costs_what_qkeras_says(name, expected):
    assert parts(price_reference(perceptron(), QKERAS).layer(name)) == pytest.approx(expected, abs=0.011)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("d0", (372.77, 342.34, 13997.95, 15729.0)),
        ("d1", (72.27, 110.31, 7158.73, 3250.0)),
        ("d2", (26.63, 11.41, 243.44, 102.08)),
    ],
)
def test_the_quantized_perceptron_costs_what_qkeras_says(name, expected):
    assert parts(price(perceptron(), PERCEPTRON_TYPES, QKERAS).layer(name)) == pytest.approx(
        expected, abs=0.011
    )


def test_the_perceptron_shrinks_from_226629_to_41070_pj():
    prepared = perceptron()

    energies = (
        price_reference(prepared, QKERAS).energy_pj,
        price(prepared, PERCEPTRON_TYPES, QKERAS).energy_pj,
    )

    assert energies == (226629, 41070)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (EnergySettings("horowitz-qkeras", source="int8", min_sram_size_bits=SRAM16MB), 3_295_146),
        (EnergySettings("horowitz-qkeras", source="int8"), 3_086_980),
        (EnergySettings("horowitz-qkeras", source="int8", internal="int8", accumulator="int32"), 574_164),
    ],
    ids=["float, 16 MB", "float", "int8/int32"],
)
def test_the_notebooks_network_costs_what_the_notebook_says(settings, expected):
    assert price_reference(conv_block(), settings).energy_pj == expected


def test_activations_at_their_own_width_bring_the_reference_to_204_nj():
    """The notebook's text: 204 nJ. QTools lets activations travel as wide as the accumulator."""
    settings = EnergySettings(
        "horowitz-qkeras", source="int8", internal="int8", accumulator="int32", accounting="corrected"
    )

    assert price_reference(conv_block(), settings).energy_pj / 1000 == pytest.approx(204.4, abs=0.05)


@pytest.mark.parametrize("profile", ["horowitz", "7nm"])
@pytest.mark.parametrize(
    ("class_name", "shapes", "config"), EXAMPLES, ids=[example[0] for example in EXAMPLES]
)
def test_no_layer_is_free(class_name, shapes, config, profile):
    prepared = ready(class_name, *shapes, **config)

    trial = price(prepared, {"x": dict.fromkeys(SLOTS, INT4)}, EnergySettings(profile, source=INT8))
    reference = price_reference(prepared, EnergySettings(profile))

    assert trial.energy_pj > 0
    assert reference.energy_pj > 0
    assert trial.layer("x").operation_count > 0


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("class_name", "shapes", "config"), EXAMPLES, ids=[example[0] for example in EXAMPLES]
)
def test_quantizing_a_layer_to_four_bits_saves_energy(class_name, shapes, config, profile):
    prepared = ready(class_name, *shapes, **config)
    floats = EnergySettings(profile, source=FLOAT32)

    quantized = price(prepared, {"x": dict.fromkeys(SLOTS, INT4)}, replace(floats, source=INT4))

    assert quantized.total_pj < price(prepared, {}, floats).total_pj


def test_a_layer_trained_with_only_is_not_priced():
    report = price_reference(conv_block(), QKERAS)

    assert not [priced_layer for priced_layer in report.layers if priced_layer.class_name == "Dropout"]


def test_shares_sum_to_one():
    assert sum(price_reference(conv_block(), QKERAS).shares().values()) == pytest.approx(1)


def test_the_network_is_the_sum_of_its_layers():
    report = price(conv_block(), {"conv_1": {"kernel": INT4}}, EnergySettings(source=INT8))

    assert report.energy_pj == pytest.approx(
        sum(priced_layer.energy.included_pj for priced_layer in report.layers)
    )


def test_a_batch_of_prices_is_the_prices_of_the_batch():
    prepared, settings = conv_block(), EnergySettings(source=INT8)
    assignments = [
        {f"conv_{i}": {"kernel": DataType(NumberFormat.FIXED, bits, 0)} for i in range(5)}
        | {"act_0": {"activation": RELU4}}
        for bits in (2, 4, 8, 4)
    ]

    assert price_many(prepared, assignments, settings) == [
        price(conv_block(), types, settings).energy_pj for types in assignments
    ]


def test_a_price_is_remembered_under_its_own_settings():
    prepared = conv_block()
    first = price_reference(prepared, EnergySettings()).energy_pj

    price_reference(prepared, EnergySettings("7nm"))

    assert price_reference(prepared, EnergySettings()).energy_pj == first


def test_resizing_prices_the_narrower_network():
    narrow = conv_block().resized({"conv_4": 64})

    assert narrow.network.layer("conv_4").output_shape == (1, 1, 64)
    assert price_reference(narrow, QKERAS).energy_pj < price_reference(conv_block(), QKERAS).energy_pj


def test_a_normalization_that_folds_costs_its_parameters_only():
    report = price_reference(conv_block(), EnergySettings())

    assert report.layer("bn_0").energy.included == ("parameters",)


def test_a_normalization_that_cannot_fold_is_computed():
    prepared = prepare(
        read_network(
            functional(
                source("in", 8, 8, 2),
                layer("MaxPooling2D", "pool", "in"),
                layer("BatchNormalization", "x", "pool"),
            )
        )
    )

    priced_layer = price_reference(prepared, EnergySettings()).layer("x")

    assert priced_layer.energy.included == ("parameters", "operations")
    assert priced_layer.energy.operations_pj > 0


def test_a_function_inside_a_layer_costs_what_the_layer_behind_it_would():
    inside = price(ready("Dense", (12,), units=7, activation="relu"), {}, EnergySettings())
    behind = prepare(
        read_network(
            functional(
                source("in", 12),
                layer("Dense", "d", "in", units=7),
                layer("Activation", "a", "d", activation="relu"),
            )
        )
    )

    assert inside.energy_pj == pytest.approx(price(behind, {}, EnergySettings()).energy_pj)


def test_an_unquantized_kernel_of_a_quantized_layer_is_priced_as_float():
    prepared = ready("Dense", (12,), units=7)

    priced_layer = price(prepared, {"x": {"kernel": None, "bias": INT8}}, EnergySettings(source=INT8)).layer(
        "x"
    )

    assert priced_layer.work.types["weight"] == FLOAT32


def test_qtools_takes_an_unquantized_kernel_for_eight_bits():
    prepared = ready("Dense", (12,), units=7)

    priced_layer = price(
        prepared, {"x": {"kernel": None}}, EnergySettings("horowitz-qkeras", source=INT8)
    ).layer("x")

    assert priced_layer.work.types["weight"] == INT8


def test_parameters_wired_into_the_circuit_cost_nothing_to_read():
    report = price_reference(conv_block(), EnergySettings(parameters_on_memory="fixed"))

    assert all(priced_layer.energy.parameters_pj == 0 for priced_layer in report.layers)


def test_dram_costs_more_than_sram():
    sram, dram = EnergySettings(), EnergySettings(parameters_on_memory="dram", activations_on_memory="dram")

    assert price_reference(conv_block(), dram).energy_pj > price_reference(conv_block(), sram).energy_pj


def test_inputs_and_outputs_in_dram_cost_a_write_and_a_read_on_the_chip_too():
    prepared = ready("Dense", (12,), units=7)
    report = price(prepared, {}, EnergySettings(source=INT8, rd_wr_on_io=True)).layer("x")

    technology = EnergySettings().technology
    read = report.accesses[0]
    assert (read.storage, read.bits) == ("dram", 96)
    assert read.energy_pj == pytest.approx(96 * technology.dram_pj_per_bit + 2 * technology.sram(96))


def test_a_tensor_larger_than_the_chips_memory_is_in_dram():
    prepared = ready("Dense", (1000,), units=100)
    settings = EnergySettings(source=INT8, capacity_bits=10_000)

    accesses = {access.tensor: access.storage for access in price(prepared, {}, settings).layer("x").accesses}

    assert accesses["parameters:kernel"] == "dram"
    assert accesses["inputs:0"] == "sram"


def test_operands_used_few_times_are_fetched_more_often():
    prepared = ready("Conv2D", (8, 8, 3), filters=4, kernel_size=3)
    priced_layer = price(prepared, {}, EnergySettings(source=INT8, reuse=10)).layer("x")

    read = {access.tensor: access.elements for access in priced_layer.accesses}
    assert read["parameters:kernel"] == priced_layer.operation_count // 10 + 1
    assert read["inputs:0"] == priced_layer.operation_count // 10 + 1


def test_operands_used_often_enough_are_fetched_once():
    prepared = ready("Conv2D", (8, 8, 3), filters=4, kernel_size=3)

    once = price(prepared, {}, EnergySettings(source=INT8))
    often = price(prepared, {}, EnergySettings(source=INT8, reuse=10**9))

    assert often.energy_pj == once.energy_pj


def test_at_inference_a_shifter_of_known_distances_is_cheaper():
    prepared = ready("Dense", (12,), units=7)
    types = {"x": {"kernel": DataType(NumberFormat.POWER_OF_TWO, 4, max_value=1, distinct=3), "bias": INT4}}
    training, inference = (
        EnergySettings(source=INT8, inference=inference_known) for inference_known in (False, True)
    )

    gates = [
        price(prepared, types, settings).layer("x").work.gates["multiplier"]
        for settings in (training, inference)
    ]

    assert (gates[1].op, gates[1].factor, gates[1].bits) == ("shifter", pytest.approx(0.9), 8)
    assert gates[0].factor == 1


def test_embedding_tables_are_read_row_by_row():
    small, large = (
        price_reference(ready("Embedding", (10,), input_dim=rows, output_dim=4), EnergySettings()).layer("x")
        for rows in (100, 1_000_000)
    )

    reads = [
        next(a for a in priced_layer.accesses if a.tensor == "parameters:embeddings")
        for priced_layer in (small, large)
    ]
    assert reads[0].bits == reads[1].bits
    assert reads[1].energy_pj > reads[0].energy_pj


def test_every_direction_of_a_recurrent_layer_has_its_own_state():
    priced_layer = price_reference(ready("LSTM", (10, 5), units=6), EnergySettings()).layer("x")

    moved = {access.tensor: access.elements for access in priced_layer.accesses}
    assert (moved["inputs:state read"], moved["inputs:state write"]) == (120, 120)


def test_the_outputs_shape_matches_its_memory_access():
    for priced_layer in price_reference(conv_block(), EnergySettings()).layers:
        shape = conv_block().network.layer(priced_layer.name).output_shape
        assert priced_layer.accesses[-1].elements == elements(shape)


def test_the_included_parts_make_up_the_energy_that_counts():
    energy = LayerEnergy("x", "Dense", 1.0, 2.0, 4.0, 8.0, ("inputs", "operations"))

    assert (energy.included_pj, energy.total_pj) == (9.0, 15.0)
    assert [energy.part_pj(part) for part in PARTS] == [1.0, 4.0, 8.0, 2.0]


def test_the_energy_of_a_layer_is_plain_data():
    energy = LayerEnergy("x", "Dense", 1.0, 2.0, 4.0, 8.0, ("inputs", "operations"))

    assert json.loads(json.dumps(asdict(energy))) == {
        "name": "x",
        "class_name": "Dense",
        "inputs_pj": 1.0,
        "outputs_pj": 2.0,
        "parameters_pj": 4.0,
        "operations_pj": 8.0,
        "included": ["inputs", "operations"],
        "included_pj": 9.0,
    }
