"""The quantizers of a model as a table, for people and programs."""

from __future__ import annotations

from typing import Any

import keras

from quantization.layers.base import QuantizedLayer
from quantization.models.convert import PLAIN_LAYERS
from quantization.specs.parse import QuantizerSpec


def quantizer_table(model: keras.Model) -> dict[str, Any]:
    """Every layer in order with its class and quantizers (None: float), as JSON values.

    `{"layers": [{"name", "class", "quantized", "slots": {slot: {"quantizer", "runs", "spec", "type"} | None}}]}`;
    "runs" is the quantizer with the scale a kernel gets where alpha was left open.
    """
    return {
        "layers": [
            {
                "name": layer.name,
                "class": PLAIN_LAYERS.get(type(layer).__name__, type(layer).__name__),
                "quantized": isinstance(layer, QuantizedLayer),
                "slots": _rows(layer) if isinstance(layer, QuantizedLayer) else {},
            }
            for layer in model.layers
        ]
    }


def _rows(layer: QuantizedLayer) -> dict[str, Any]:
    runs = layer.effective_specs
    return {slot: None if spec is None else _row(spec, runs[slot]) for slot, spec in layer.specs.items()}


def _row(spec: QuantizerSpec, runs: QuantizerSpec) -> dict[str, Any]:
    data_type = spec.data_type()
    return {
        "quantizer": str(spec),
        "runs": str(runs),
        "spec": spec.model_dump(mode="json"),
        "type": {
            "kind": str(data_type.format),
            "bits": data_type.bits,
            "integer_bits": data_type.int_bits,
            "signed": data_type.signed,
            "max_value": data_type.max_value,
        },
    }
