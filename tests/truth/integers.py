"""Random networks that have an integer form, random assignments for them, and both ways of computing them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

import keras
import numpy as np

from quantization.graph import ModelGraph
from quantization.integer import NotInIntegers, integer_network
from quantization.integer.layers import class_of
from quantization.integer.network import FLOAT_BITS, IntegerNetwork
from quantization.integer.recurrent import LOOPS
from quantization.models.convert import quantize
from quantization.specs.parse import parse_quantizer
from tests.truth.networks import random_network

#: Quantizers with one scale, a power of two.
KERNELS: Final = (
    *("quantized_bits(4,0,alpha=1.0)", "quantized_bits(3,1,1,alpha=0.5)", "quantized_linear(4,1,alpha=1.0)"),
    *("ternary(alpha=1.0)", "binary(alpha=0.5)", "quantized_po2(3,1)", "stochastic_ternary(alpha=0.25)"),
)
SUMMANDS: Final = ("quantized_bits(5,1,alpha=1.0)", "quantized_bits(6,2,1,alpha=1.0)", "ternary(alpha=1.0)")
ACTIVATIONS: Final = (
    *("quantized_bits(4,2)", "quantized_linear(5,2)", "quantized_relu(4,2)", "quantized_relu(3,1)"),
    *("quantized_relu(4,1,negative_slope=0.25)", "quantized_tanh(4)", "quantized_sigmoid(4)"),
    *("binary()", "binary(use_01=True)", "ternary()", "ternary(alpha=0.5,threshold=0.25)"),
    *("stochastic_binary()", "stochastic_ternary()", "bernoulli()"),
    *("quantized_po2(3)", "quantized_po2(3,1)", "quantized_relu_po2(3)", "quantized_relu_po2(3,2)"),
)
INPUT: Final = "quantized_bits(5,1)"
#: Classes of the generator without an integer form -> what stands in for them.
_INSTEAD: Final = dict.fromkeys(("PReLU", "ELU", "Softmax", "LayerNormalization"), "Activation")
_FUNCTIONS: Final = ("linear", "relu", "relu6", "softmax")
#: Networks that are drawn until one has an integer form.
_TRIES: Final = 100
_EXAMPLES: Final = 4


def differences_of_integers(number: int) -> list[str]:
    """Where an integer network differs from the Keras model although its documentation promises that it does not."""
    model, integers = both(number)
    x = np.random.default_rng(number).normal(0, 1, (_EXAMPLES, *model.inputs[0].shape[1:]))
    return [name for name, _ in unequal(model, integers, x)]


def both(number: int) -> tuple[keras.Model, IntegerNetwork]:
    """A random quantized model with random weights, and its integer network."""
    for attempt in range(_TRIES):
        config = random_network(1000 * number + attempt)
        try:
            model = _model(config, random.Random(number), as_chain=number % 2 == 0)
            return model, integer_network(model, INPUT)
        except NotInIntegers as error:
            is_loop = any(layer.name == error.layer and class_of(layer) in LOOPS for layer in model.layers)
            known = "has no integer form" in error.reason or "over padding" in error.reason
            if not known and not is_loop:  # the generator leaves loops float
                raise
    raise AssertionError(f"none of {_TRIES} networks has an integer form")


def unequal(model: keras.Model, integers: IntegerNetwork, x: Any) -> Iterator[tuple[str, Any]]:
    """Calls of layers whose outputs are promised to be equal and are not."""
    trace, bits = integers.trace(x), integers.accumulator_bits(x)
    graph = ModelGraph(model)
    probe = keras.Model(model.inputs[0], [call.outputs[0] for call in graph])
    computed = dict(zip((call.name for call in graph), probe(integers.encode(x).to_float()), strict=True))
    for name in promised(integers, bits):
        expected = np.asarray(keras.ops.convert_to_numpy(computed[name]))
        actual = trace[name].to_float().astype(np.float32)
        if getattr(graph.call(name).layer, "activation", None) is keras.activations.softmax:
            actual = np.asarray(keras.ops.convert_to_numpy(keras.ops.softmax(actual)))
            expected = np.where(np.isclose(actual, expected, rtol=1e-5), actual, expected)
        if actual.shape != expected.shape or np.any(actual != expected):
            yield name, (actual, expected)


def promised(integers: IntegerNetwork, bits: dict[str, int]) -> list[str]:
    """Calls whose own arithmetic and that of all before them is exact in float32 as well."""
    exact = {integers.input_name}
    for layer in integers.layers:
        if layer.exact and bits[layer.name] <= FLOAT_BITS and exact.issuperset(layer.inputs):
            exact.add(layer.name)
    return [layer.name for layer in integers.layers if layer.name in exact]


def _model(config: dict[str, Any], draw: random.Random, as_chain: bool) -> keras.Model:
    assignment = {}
    for entry in config["config"]["layers"]:
        values = entry["config"]
        if entry["class_name"] in _INSTEAD:
            entry["class_name"] = "Activation"
            entry["config"] = values = {"name": values["name"], "activation": "relu"}
        if values.get("activation", "linear") not in _FUNCTIONS:
            values["activation"] = draw.choice(("linear", "relu", "relu6"))
        slots = _slots(entry["class_name"], values, draw)
        if slots:
            assignment[values["name"]] = {slot: parse_quantizer(text) for slot, text in slots.items()}
    model = quantize(_chain(config) if as_chain and _is_chain(config) else config, assignment)
    _randomize(model, draw.randrange(1 << 30))
    return model


def _slots(class_name: str, config: dict[str, Any], draw: random.Random) -> dict[str, str]:
    slots = {}
    if class_name == "BatchNormalization":
        if draw.random() < 0.7:
            slots = {"inverse": draw.choice(SUMMANDS), "mean": draw.choice(SUMMANDS)}
            slots |= {"beta": draw.choice(SUMMANDS)} if config.get("center", True) else {}
        return slots
    if "Conv" in class_name or class_name == "Dense":
        slots["kernel"] = draw.choice(KERNELS)
        if class_name.startswith("Separable"):
            slots["pointwise_kernel"] = draw.choice(KERNELS)
        if config.get("use_bias", True):
            slots["bias"] = draw.choice(SUMMANDS)
    elif "AveragePooling" in class_name and draw.random() < 0.5:
        slots["average"] = draw.choice(("quantized_bits(4,0,alpha=1.0)", "quantized_bits(6,0,alpha=1.0)"))
    elif class_name not in ("Activation", "Add", "Multiply", "Average", "Concatenate"):
        return {}
    if config.get("activation") != "softmax" and (class_name == "Activation" or draw.random() < 0.6):
        slots["activation"] = draw.choice(ACTIVATIONS)
    return slots


def _is_chain(config: dict[str, Any]) -> bool:
    names = [entry["name"] for entry in config["config"]["layers"]]
    read = [str(entry["inbound_nodes"]).count("keras_history") for entry in config["config"]["layers"][1:]]
    sources = [str(entry["inbound_nodes"]) for entry in config["config"]["layers"][1:]]
    return set(read) == {1} and all(f"'{name}'" in text for name, text in zip(names, sources, strict=False))


def _chain(config: dict[str, Any]) -> dict[str, Any]:
    """The description of a Sequential of the same layers."""
    layers = [
        {key: value for key, value in entry.items() if key != "inbound_nodes"}
        for entry in config["config"]["layers"]
    ]
    return {"class_name": "Sequential", "config": {"name": "chain", "layers": layers}}


def _randomize(model: keras.Model, seed: int) -> None:
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed" in weight.path:
            continue
        values = generator.normal(0, 0.8, weight.shape)
        positive = weight.name in ("moving_variance", "gamma")
        weight.assign(np.abs(values) + 0.3 if positive else values)
