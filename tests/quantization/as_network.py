"""A built quantized model as input of the cost model: a network of plain layers, and the types of their slots."""

from __future__ import annotations

from typing import Any

import keras

from costmodel.data_type import DataType
from costmodel.network import Network, read_network
from quantization.models.convert import plain_description, read_quantizers


def network(model: keras.Model) -> Network:
    """The network of a built model, its quantized layers replaced by their Keras classes.

    Raises `costmodel.errors.InvalidNetwork` for what cannot be priced.
    """
    described: dict[str, Any] = plain_description(model)
    return read_network(described)


def types(model: keras.Model) -> dict[str, dict[str, DataType | None]]:
    """Layer -> slot -> data type of every quantized layer, None where a slot is not quantized."""
    return {
        layer: {slot: None if spec is None else spec.data_type() for slot, spec in slots.items()}
        for layer, slots in read_quantizers(model).items()
    }
