"""Reads a case of the energy vectors into what the cost model takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import EnergyReport, Prepared, prepare, price, price_reference
from costmodel.network import read_network
from costmodel.propagation import FIXED8, reference_type
from costmodel.settings import EnergySettings

KINDS = {
    "fixed": NumberFormat.FIXED,
    "fixed_relu": NumberFormat.FIXED,
    "tanh": NumberFormat.FIXED,
    "ulaw": NumberFormat.FIXED,
    "po2": NumberFormat.POWER_OF_TWO,
    "relu_po2": NumberFormat.POWER_OF_TWO,
    "ternary": NumberFormat.TERNARY,
    "stochastic_ternary": NumberFormat.TERNARY,
    "binary": NumberFormat.BINARY,
    "stochastic_binary": NumberFormat.BINARY,
    "binary01": NumberFormat.BINARY_01,
    "bernoulli": NumberFormat.BINARY_01,
    "float": NumberFormat.FLOAT,
}


def data_type(quantizer: Mapping[str, Any] | str | None) -> DataType | None:
    """The type of a quantizer object; a plain string is a float activation and types nothing."""
    if quantizer is None or isinstance(quantizer, str):
        return None
    kind, bits = KINDS[quantizer["kind"]], quantizer["bits"]
    integer = quantizer.get("int_bits", 0)
    if quantizer["kind"] == "fixed_relu" and bits == 1 and integer == 1:
        kind = NumberFormat.BINARY_01
    stochastic = quantizer["kind"] in ("stochastic_ternary", "stochastic_binary", "bernoulli")
    signed = quantizer.get("signed", True)
    return DataType(kind, bits, integer, signed, quantizer.get("max_value"), stochastic)


def named_type(name: str | None) -> DataType:
    """keras_quantizer and keras_accumulator; null is QTools' own default."""
    return FIXED8 if name is None else reference_type(name)


def keras_config(model: Mapping[str, Any]) -> dict[str, Any]:
    """A case file's model as Keras 3 would write it."""
    layers: list[dict[str, Any]] = []
    for entry in model["inputs"]:
        config = {"name": entry["name"], "batch_shape": [None, *entry["shape"]]}
        layers.append(
            {"class_name": "InputLayer", "name": entry["name"], "config": config, "inbound_nodes": []}
        )
    read = set()
    for layer in model["layers"]:
        config = {key: value for key, value in layer.items() if key not in ("class", "inbound")}
        tensors = [
            {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0]}}
            for name in layer["inbound"]
        ]
        read.update(layer["inbound"])
        args = [tensors] if len(tensors) > 1 else tensors
        node = {"args": args, "kwargs": {}}
        layers.append(
            {"class_name": layer["class"], "name": layer["name"], "config": config, "inbound_nodes": [node]}
        )
    outputs = [layer["name"] for layer in layers if layer["name"] not in read]
    return {
        "class_name": "Functional",
        "config": {
            "layers": layers,
            "input_layers": [[entry["name"], 0, 0] for entry in model["inputs"]],
            "output_layers": [[name, 0, 0] for name in outputs],
        },
    }


def prepared(model: Mapping[str, Any], widths: Mapping[str, int]) -> Prepared:
    """The model of a case, ready to be priced."""
    return prepare(read_network(keras_config(model))).resized(widths)


def settings(case: Mapping[str, Any], **changes: Any) -> EnergySettings:
    """The settings of a case, in the bit-compatible profile unless changed."""
    memory, mode = case["memory"], case["mode"]
    sources = tuple(data_type(source) for source in case["source_quantizers"])
    values: dict[str, Any] = {
        "profile": "horowitz-qkeras",
        "source": sources,
        "parameters_on_memory": memory["weights_on_memory"],
        "activations_on_memory": memory["activations_on_memory"],
        "min_sram_size_bits": memory["min_sram_size_bits"],
        "rd_wr_on_io": memory["rd_wr_on_io"],
        "internal": named_type(mode["keras_quantizer"]),
        "accumulator": named_type(mode["keras_accumulator"]),
    }
    return EnergySettings(**{**values, **changes})


def slot_types(case: Mapping[str, Any]) -> dict[str, dict[str, DataType | None]]:
    """The types of the quantized layers of a case."""
    return {
        layer: {slot: data_type(quantizer) for slot, quantizer in slots.items()}
        for layer, slots in case["quantized"].items()
    }


def report(case: Mapping[str, Any], model: Mapping[str, Any], **changes: Any) -> EnergyReport:
    """What the cost model says about a case."""
    ready = prepared(model, case.get("widths", {}))
    if case["mode"]["for_reference"]:
        return price_reference(ready, settings(case, **changes))
    return price(ready, slot_types(case), settings(case, **changes))
