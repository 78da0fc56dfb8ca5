"""What can leave in which format, from the documents of a trial alone: an API answers without Keras. Plain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costmodel.network import Network, read_network
from quantization.export.formats import FORMATS
from quantization.export.legality.base import Quantizers, Refusal
from quantization.specs.parse import parse_quantizer


def described(document: Mapping[str, Any]) -> tuple[Network, Quantizers]:
    """Network and quantizers of a trial, from its `quantizers.json`."""
    quantizers = {
        layer["name"]: {
            slot: None if entry is None else parse_quantizer(entry["text"])
            for slot, entry in layer["quantizers"].items()
        }
        for layer in document["layers"]
    }
    return read_network(document["architecture"]), quantizers


def refusals(network: Network, quantizers: Quantizers) -> dict[str, list[Refusal]]:
    """Format -> what it cannot express of a network with these quantizers; empty where it takes all."""
    return {name: entry.refusals(network, quantizers) for name, entry in FORMATS.items()}
