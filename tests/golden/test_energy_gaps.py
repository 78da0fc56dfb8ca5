"""What QTools leaves out or breaks on is counted as the vectors say a correct model counts it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import EnergyReport, prepare, price, price_reference
from costmodel.errors import UnsupportedLayer
from costmodel.network import read_network
from costmodel.propagation import FIXED8, FLOAT32, accumulate, multiply, reference_type
from costmodel.settings import EnergySettings
from tests.costmodel.build import functional, layer, ready, recurrent, single, source
from tests.golden import files
from tests.golden.energy_layers import INPUT, KERNEL, WEIGHTS, counts, priced, settings, weights
from tests.golden.folded_gaps import folded_conv, folded_dense, folded_depthwise

GAPS = {gap["id"]: gap for path in files.files_of_kind("known_gaps") for gap in files.read(path)["gaps"]}
PROFILES = ("horowitz", "horowitz-qkeras")


def average_2d(n: dict[str, Any]) -> None:
    layer = priced("AveragePooling2D", tuple(n["input"]), pool_size=n["pool"], strides=n["strides"])
    assert counts(layer) == {"accumulate": n["adds"]}
    assert layer.work.types["pool_sum_accumulator"].bits == INPUT.bits + n["accumulator_extra_bits"]


def average_global(n: dict[str, Any]) -> None:
    layer = priced("GlobalAveragePooling2D", tuple(n["input"]))
    assert counts(layer) == {"accumulate": n["adds"]}
    assert layer.work.types["pool_sum_accumulator"].bits == INPUT.bits + n["accumulator_extra_bits"]


def average_1d(n: dict[str, Any]) -> None:
    layer = priced("AveragePooling1D", tuple(n["input"]), pool_size=n["pool"])
    assert counts(layer) == {"accumulate": n["adds"]}
    assert layer.work.types["pool_sum_accumulator"].bits == INPUT.bits + 1


def separable(n: dict[str, Any]) -> None:
    layer = priced(
        "SeparableConv2D",
        tuple(n["input"]),
        filters=n["filters"],
        kernel_size=n["kernel"],
        depth_multiplier=n["depth_multiplier"],
        padding=n["padding"],
    )
    assert counts(layer)["depthwise multiply"] == n["depthwise_macs"]
    assert counts(layer)["pointwise multiply"] == n["pointwise_macs"]
    weight_counts = weights(layer)
    assert (weight_counts["kernel"], weight_counts["pointwise_kernel"], weight_counts["bias"]) == tuple(
        n["weights"].values()
    )


def transposed(n: dict[str, Any]) -> None:
    config = {
        "filters": n["filters"],
        "kernel_size": n["kernel"],
        "strides": n["strides"],
        "padding": n["padding"],
    }
    layer = priced("Conv2DTranspose", tuple(n["input"]), **config)
    assert layer.operation_count == n["macs"]
    assert weights(layer) == n["weights"]
    product = multiply(KERNEL, INPUT)[1]
    assert accumulate(product, 2 * 2 * 3).bits + 1 == layer.work.types["accumulator"].bits


def steps(class_name: str) -> Callable[[dict[str, Any]], None]:
    def check(n: dict[str, Any]) -> None:
        config = {"units": n["units"], "reset_after": False}
        layer = priced(class_name, (n["timesteps"], n["input_dim"]), **config)
        counted = counts(layer)
        assert layer.operation_count == n["macs"]
        assert (counted["elementwise multiply"], counted["elementwise add"]) == (
            n["elementwise_mul"],
            n["elementwise_add"],
        )
        assert tuple(weights(layer).values()) == tuple(n["weights"].values())
        both = priced(
            "Bidirectional", (n["timesteps"], n["input_dim"]), layer=recurrent(class_name, **config)
        )
        assert both.operation_count == 2 * n["macs"]

    return check


def dense_on_sequence(n: dict[str, Any]) -> None:
    layer = priced("Dense", tuple(n["input"]), units=n["units"])
    assert layer.operation_count == n["macs"]
    assert weights(layer)["kernel"] == n["input"][-1] * n["units"]


def grouped(n: dict[str, Any]) -> None:
    config = {"filters": n["filters"], "kernel_size": n["kernel"], "groups": n["groups"], "padding": "same"}
    assert priced("Conv2D", tuple(n["input"]), **config).operation_count == n["macs"]


def depth_multiplier(n: dict[str, Any]) -> None:
    config = {"kernel_size": n["kernel"], "depth_multiplier": n["dm"], "padding": "same"}
    assert priced("DepthwiseConv2D", tuple(n["input"]), **config).operation_count == n["macs"]


def depthwise_bias(_: Any) -> None:
    layer = priced("DepthwiseConv2D", (8, 8, 3), kernel_size=3, depth_multiplier=2)
    assert weights(layer)["bias"] == 6


def absent_vectors(_: Any) -> None:
    for scale in (True, False):
        for center in (True, False):
            layer = priced("BatchNormalization", (6, 6, 5), slots={}, scale=scale, center=center)
            assert len(layer.work.parameters) == 2 + scale + center


def norm_first(_: Any) -> None:
    layer = priced("BatchNormalization", (20,), slots={"activation": INPUT})
    assert layer.accesses[-1].bits == 20 * INPUT.bits


def layer_norm(n: dict[str, Any]) -> None:
    layer = priced("LayerNormalization", tuple(n["input"]), slots={"gamma": KERNEL, "beta": KERNEL})
    counted, total = counts(layer), n["N"]
    assert counted["sum"] + counted["sum squares"] == 2 * total
    assert counted["subtract mean"] == total
    assert counted["square"] + counted["normalize"] == 2 * total
    assert (counted["scale"], counted["shift"], counted["reciprocal root"]) == (
        total,
        total,
        n["input"][0],
    )
    assert sum(weights(layer).values()) == n["params"]


def attention(n: dict[str, Any]) -> None:
    shape = (n["S"], n["D"])
    layer = priced("MultiHeadAttention", shape, shape, num_heads=n["heads"], key_dim=n["key_dim"])
    counted = counts(layer)
    assert (
        sum(counted[f"{name} multiply"] for name in ("query", "key", "value", "output"))
        == n["macs_projections"]
    )
    assert (counted["scores multiply"], counted["context multiply"]) == (
        n["macs_scores"],
        n["macs_context"],
    )
    assert counted["divide"] == n["softmax_elements"]
    width = n["heads"] * n["key_dim"]
    assert sum(weights(layer).values()) == 4 * n["D"] * width + 3 * width + n["D"]


def embedding(n: dict[str, Any]) -> None:
    layer = priced(
        "Embedding", (n["tokens"],), input_dim=1000, output_dim=n["dim"], slots={"embeddings": KERNEL}
    )
    read = next(access for access in layer.accesses if access.tensor == "parameters:embeddings")
    assert (read.elements, read.bits) == (n["elements_read"], n["elements_read"] * KERNEL.bits)


def conv_3d(n: dict[str, Any]) -> None:
    layer = priced("Conv3D", tuple(n["input"]), filters=n["filters"], kernel_size=n["kernel"], padding="same")
    assert layer.operation_count == n["macs"]


def subtract_dot(n: dict[str, Any]) -> None:
    shape = tuple(n["input"])
    layer = priced("Subtract", shape, shape, slots={})
    assert counts(layer) == {"subtract": n["subtract_adds"]}
    assert (layer.output_type.bits, layer.output_type.signed) == (INPUT.bits + 1, True)
    assert priced("Dot", shape, shape, axes=1, slots={}).operation_count == n["dot_macs"]


def maximum_minimum_average(_: Any) -> None:
    for name, factor in (("Maximum", 0.2), ("Minimum", 0.2), ("Average", 1)):
        three = priced(name, (8,), (8,), (8,), slots={})
        gate = three.work.operations[0].gate
        assert (counts(three)[name.lower()], gate.op, gate.factor, gate.bits) == (
            16,
            "add",
            factor,
            INPUT.bits,
        )
    assert counts(priced("Average", (8,), (8,), (8,), slots={}))["scale"] == 8
    assert "scale" not in counts(priced("Average", (8,), (8,), slots={}))


def max_pooling(n: dict[str, Any]) -> None:
    layer = priced("MaxPooling2D", tuple(n["input"]), pool_size=n["pool"])
    assert counts(layer) == {"compare": n["comparisons"]}
    assert layer.work.operations[0].gate.factor == 0.2


def priced_net(*layers: dict[str, Any]) -> EnergyReport:
    prepared = prepare(read_network(functional(*layers)))
    return price(prepared, {}, settings("horowitz-qkeras"))


def same_tensor_twice(n: dict[str, Any]) -> None:
    report = priced_net(source("in", *n["input"]), layer("Add", "x", "in", "in"))
    assert counts(report.layer("x")) == {"add": n["adds"]}
    assert len(report.layer("x").input_types) == 2


def pairing(_: Any) -> None:
    two = (DataType(NumberFormat.FIXED, 4, 0), DataType(NumberFormat.FIXED, 8, 0))
    prepared = ready("Concatenate", (100,), (300,), axis=-1)
    for types in (two, two[::-1]):
        layer = price(prepared, {}, replace(settings(), source=types)).layer("x")
        assert [access.bits for access in layer.accesses[:2]] == [
            100 * types[0].bits,
            300 * types[1].bits,
        ]


def shared(n: dict[str, Any]) -> None:
    """A layer called several times computes at each call, and is never counted once."""
    described = functional(source("a", n["in"]), layer("Dense", "d", "a", units=n["units"]))
    described["config"]["layers"][1]["inbound_nodes"] *= n["calls"]
    calls = [layer for layer in read_network(described).layers if layer.class_name == "Dense"]
    assert len(calls) == n["calls"]


def nested(_: Any) -> None:
    described = functional(source("a", 4), layer("Functional", "inner", "a"))
    with pytest.raises(UnsupportedLayer, match="a model inside a model"):
        read_network(described)


def sequential(_: Any) -> None:
    dense = {"class_name": "Dense", "config": {"name": "d", "units": 3}}
    described = {"class_name": "Sequential", "config": {"layers": [dense], "build_input_shape": [None, 5]}}
    as_functional = functional(source("input0", 5), layer("Dense", "d", "input0", units=3))
    assert read_network(described).layer("d").output_shape == (3,)
    ours = price(prepare(read_network(described)), {}, settings()).energy_pj
    assert ours == price(prepare(read_network(as_functional)), {}, settings()).energy_pj


def float_sum_of_selected(_: Any) -> None:
    """A fixed kernel selected by a ternary input and summed in floating point: the gate is no float."""
    ternary = EnergySettings(
        "horowitz-qkeras",
        source=DataType(NumberFormat.TERNARY, 2),
        internal="int8",
        accumulator=FLOAT32,
        accounting="qtools",
    )
    layer = price(ready("Dense", (12,), units=4), {}, ternary).layer("x")
    assert (layer.work.gates["multiplier"].op, layer.work.gates["multiplier"].float_bits) == (
        "mux",
        0,
    )
    assert layer.energy.operations_pj == pytest.approx(48 * (0.6 * 0.003125 * 8 + 0.9), abs=0.01)


def pass_through(_: Any) -> None:
    for kind, stochastic in (
        (NumberFormat.BINARY, True),
        (NumberFormat.BINARY_01, True),
        (NumberFormat.FIXED, False),
    ):
        source_type = DataType(kind, 8 if kind is NumberFormat.FIXED else 1, 0, stochastic=stochastic)
        for name in ("Flatten", "MaxPooling2D", "UpSampling2D"):
            config = {"pool_size": 2} if "Pool" in name else {}
            layer = price(
                ready(name, (4, 4, 2), **config), {}, replace(settings(), source=source_type)
            ).layer("x")
            assert (layer.output_type.format, layer.output_type.bits) == (
                kind,
                source_type.bits,
            )


def tanh(_: Any) -> None:
    """A hyperbolic tangent of b bits has none of them integer: b - 1 fraction bits."""
    layer = priced(
        "Activation", (8,), activation="tanh", slots={"activation": DataType(NumberFormat.FIXED, 5, 0)}
    )
    assert layer.output_type.fraction_bits == 4


def unsupported_quantizers(_: Any) -> None:
    """A linear, sigmoid or h-swish quantizer is fixed point and priced as such."""
    for signed in (True, False):
        slots = {"activation": DataType(NumberFormat.FIXED, 4, 0, signed)}
        layer = priced("Activation", (8,), activation="sigmoid", slots=slots)
        assert layer.accesses[-1].bits == 8 * 4


def uncalled(_: Any) -> None:
    """The price asks for types only: no weights, no scale."""
    assert priced("Dense", (12,), units=2).energy.included_pj > 0


def function_layers(_: Any) -> None:
    """The layer classes cost what Activation with that function costs."""
    for class_name, function in (("ReLU", "relu"), ("Softmax", "softmax"), ("ELU", "elu")):
        layer = priced(class_name, (8,), slots={"activation": INPUT})
        general = priced("Activation", (8,), activation=function, slots={"activation": INPUT})
        assert layer.energy.included_pj == general.energy.included_pj
        assert "outputs" in layer.energy.included


def moving(_: Any) -> None:
    for name in ("UpSampling2D", "ZeroPadding2D", "Cropping2D"):
        layer = priced(name, (8, 8, 2), slots={})
        assert layer.energy.operations_pj == 0
        assert layer.energy.included_pj == layer.energy.inputs_pj > 0


def functions(_: Any) -> None:
    """Nothing in the bit-compatible profile; a price each in the others."""
    prepared = ready("Activation", (8,), activation="softmax")
    assert price(prepared, {}, settings("horowitz-qkeras")).layer("x").energy.operations_pj == 0
    assert price(prepared, {}, settings("horowitz")).layer("x").energy.operations_pj > 0


def reference_width(_: Any) -> None:
    prepared = ready("Conv2D", (8, 8, 2), filters=3, kernel_size=3)
    widths = {
        profile: price_reference(prepared, settings(profile)).layer("x").output_type for profile in PROFILES
    }
    assert widths == {"horowitz": FIXED8, "horowitz-qkeras": reference_type("int32")}


def four_inputs(_: Any) -> None:
    report = price_reference(
        ready("Add", (8,), (8,), (8,), (8,)), EnergySettings("horowitz-qkeras", source="fp32")
    )
    assert report.source_types == (FLOAT32,) * 4


CHECKS: dict[str, Callable[[Any], None]] = {
    "AveragePooling2D": average_2d,
    "GlobalAveragePooling2D": average_global,
    "AveragePooling1D": average_1d,
    "SeparableConv2D": separable,
    "Conv2DTranspose": transposed,
    "SimpleRNN": steps("SimpleRNN"),
    "LSTM": steps("LSTM"),
    "GRU": steps("GRU"),
    "QConv2DBatchnorm": folded_conv,
    "QDepthwiseConv2DBatchnorm": folded_depthwise,
    "QDenseBatchnorm": folded_dense,
    "Dense_on_sequence": dense_on_sequence,
    "Conv2D_groups": grouped,
    "DepthwiseConv2D_depth_multiplier": depth_multiplier,
    "DepthwiseConv2D_bias": depthwise_bias,
    "BN_without_gamma_or_beta": absent_vectors,
    "BN_first_layer": norm_first,
    "LayerNormalization": layer_norm,
    "MultiHeadAttention": attention,
    "Embedding": embedding,
    "Conv3D": conv_3d,
    "Subtract_Dot": subtract_dot,
    "Maximum_Minimum_Average": maximum_minimum_average,
    "MaxPooling": max_pooling,
    "Add_same_tensor_twice": same_tensor_twice,
    "merge_input_pairing": pairing,
    "shared_layer": shared,
    "nested_model": nested,
    "Sequential": sequential,
    "fp_accumulator_with_mux": float_sum_of_selected,
    "passthrough_types": pass_through,
    "quantized_tanh_int_bits": tanh,
    "unsupported_quantizers": unsupported_quantizers,
    "auto_po2_uncalled": uncalled,
    "ReLU_layers": function_layers,
    "UpSampling_ZeroPadding": moving,
    "softmax_activation": functions,
    "reference_width": reference_width,
    "source_string_with_4_inputs": four_inputs,
}


@pytest.mark.parametrize("gap", GAPS)
def test_energy_gap_is_counted_as_a_correct_model_counts_it(gap):
    assert gap in CHECKS, f"no check for the gap {gap}"
    CHECKS[gap](GAPS[gap]["correct_numbers"])


def test_energy_of_a_gru_with_both_biases():
    network = single("GRU", (10, 5), units=6)

    layer = price(prepare(network), {"x": WEIGHTS}, settings()).layer("x")

    assert weights(layer)["bias"] == 2 * 3 * 6
