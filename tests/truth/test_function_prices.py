"""A function is priced as it is built: its own work, its values' type, and another function where one replaces it."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import EnergyReport, prepare, price
from costmodel.network import read_network
from costmodel.propagation import FLOAT32
from costmodel.settings import EnergySettings
from quantization.layers import QUANTIZED_LAYERS
from quantization.specs.functions import FUNCTIONS, slot_type
from quantization.specs.parse import parse_quantizer
from tests.search.nets import functional, layer
from tests.truth.test_types import holds

#: Keras takes a number besides for `threshold`.
NAMES = sorted(FUNCTIONS.keys() - {"threshold"})
#: Types of sums: few and many bits, none of them behind the point, and steps of four.
INPUTS = (
    DataType(NumberFormat.FIXED, 8, 0),
    DataType(NumberFormat.FIXED, 6, 5),
    DataType(NumberFormat.FIXED, 4, 5),
)
KERNEL = "quantized_bits(3,2,alpha=1.0)"
REPLACING = (
    "quantized_relu(4,2)",
    "binary(alpha=1.0)",
    "quantized_tanh(4)",
    "quantized_sigmoid(4,use_real_sigmoid=1)",
)
GRID = "quantized_bits(6,2)"


def priced(class_name: str, x: DataType = INPUTS[0], **config: Any) -> EnergyReport:
    """The price of a layer behind an input of a type; `quantizers`: slot -> expression, other tensors are float."""
    quantizers = config.pop("quantizers")
    shape = (3, 4) if class_name in ("LSTM", "GRU", "SimpleRNN") else (4,)
    network = read_network(functional(shape, [layer(class_name, "it", ["input"], **config)]))
    types = {"it": {slot: slot_type(parse_quantizer(text)) for slot, text in quantizers.items()}}
    return price(prepare(network), types, EnergySettings(source=x, internal=FLOAT32, accumulator=FLOAT32))


@pytest.mark.parametrize("x", INPUTS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_values_of_a_function_without_a_quantizer_are_of_the_type_that_is_handed_on(
    name: str, x: DataType
) -> None:
    report = priced("Dense", x, units=4, use_bias=False, activation=name, quantizers={"kernel": KERNEL})
    sums = report.layer("it").work.types["accumulator"]
    codes = np.random.default_rng(0).integers(-(2 ** (sums.bits - 1)), 2 ** (sums.bits - 1), (16, 4))
    numbers = np.ldexp(codes.astype(np.float32), -sums.fraction_bits)
    values = np.asarray(keras.activations.get(name)(keras.ops.convert_to_tensor(numbers)))
    assert holds(report.layer("it").output_type, values), report.layer("it").output_type


def operations_pj(class_name: str, name: str, quantizer: str | None, **config: Any) -> float:
    kernels = {"kernel": KERNEL} if class_name != "Activation" else {}
    quantizers = kernels | ({} if quantizer is None else {"activation": quantizer})
    report = priced(class_name, activation=name, quantizers=quantizers, **config)
    return report.layer("it").energy.operations_pj


def computed(class_name: str, name: str, quantizer: str, **config: Any) -> np.ndarray[Any, Any]:
    keras.utils.set_random_seed(1)
    made = QUANTIZED_LAYERS[class_name](activation=name, quantizers={"activation": quantizer}, **config)
    return np.asarray(made(np.linspace(-3, 3, 40, dtype=np.float32).reshape(10, 4)))


@pytest.mark.parametrize(("class_name", "config"), [("Dense", {"units": 4}), ("Activation", {})])
@pytest.mark.parametrize("quantizer", [*REPLACING, GRID])
def test_layers_that_compute_the_same_function_have_the_same_price(
    class_name: str, config: dict[str, Any], quantizer: str
) -> None:
    names = ("relu", "tanh", "sigmoid")
    values = [computed(class_name, name, quantizer, **config) for name in names]
    prices = [operations_pj(class_name, name, quantizer, **config) for name in names]
    same = all(np.array_equal(values[0], other) for other in values[1:])
    assert same == (quantizer != GRID)
    assert (len(set(prices)) == 1) == same


@pytest.mark.parametrize("class_name", ["SimpleRNN", "LSTM", "GRU"])
def test_a_recurrent_layer_pays_for_the_functions_that_it_computes(class_name: str) -> None:
    usual, straight = (operations_pj(class_name, name, None, units=4) for name in ("tanh", "relu"))
    assert straight < usual
    replaced = operations_pj(class_name, "tanh", "quantized_relu(4,2)", units=4)
    assert replaced == operations_pj(class_name, "relu", "quantized_relu(4,2)", units=4)
    assert replaced < operations_pj(class_name, "tanh", "quantized_bits(4,2,0,keep_negative=0)", units=4)


def test_qtools_has_no_price_for_functions() -> None:
    settings = EnergySettings(source=INPUTS[0], accounting="qtools")
    network = read_network(functional((4,), [layer("Dense", "it", ["input"], units=4, activation="tanh")]))
    types = {"kernel": slot_type(parse_quantizer(KERNEL))}
    layers = [
        price(prepare(network), {"it": types | more}, settings).layer("it")
        for more in ({}, {"activation": slot_type(parse_quantizer("quantized_relu(4,2)"))})
    ]
    assert layers[0].energy.operations_pj == layers[1].energy.operations_pj
    assert layers[0].output_type == layers[0].work.types["accumulator"]
