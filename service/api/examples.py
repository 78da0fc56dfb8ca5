"""Examples for the reference; tests check that they are valid."""

from __future__ import annotations

from typing import Any, Final

JOB: Final[dict[str, Any]] = {
    "name": "digits at half the energy",
    "model": "digits_cnn",
    "data": "digits",
    "quantizers": {
        "kernel": ["binary", "ternary", "quantized_bits(4,0,1,alpha=1.0)", "quantized_bits(8,0,1,alpha=1.0)"],
        "bias": ["quantized_bits(4,0,1)", "quantized_bits(8,3,1)"],
        "activation": ["quantized_relu(3,1)", "quantized_relu(4,2)", "quantized_relu(8,4)"],
    },
    "limits": {
        "by_class": {"Conv2D": [4, 8, 4], "Dense": [8, 8, 4], "Activation": [4], "BatchNormalization": {}}
    },
    "filters": {"by": "layer", "exceptions": ["^dense"]},
    "goal": {"kind": "energy", "delta_p": 8, "delta_n": 8, "rate": 2},
    "training": {"epochs": 10, "batch_size": 64},
    "oracle": "frugal",
    "budget": {"trials": 20},
    "seed": 42,
}

COST: Final[dict[str, Any]] = {
    "model": "jet_mlp",
    "quantizers": {"fc1": {"kernel": "quantized_bits(4,0,1,alpha=1.0)", "bias": "quantized_bits(8,3,1)"}},
    "settings": {"profile": "horowitz", "parameters_on_memory": "sram"},
    "costs": ["bits", "macs"],
}

EXTENSION: Final[dict[str, Any]] = {"trials": 10}

UPLOAD: Final[dict[str, Any]] = {"name": "my model", "size_bytes": 123_456}

PROBLEM: Final[dict[str, Any]] = {
    "type": "urn:fewbits:problem:invalid-request",
    "title": "The request is not valid",
    "status": 422,
    "detail": "/budget/trials: should be greater than or equal to 1",
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    "errors": [{"pointer": "/budget/trials", "detail": "should be greater than or equal to 1"}],
}

#: By the name of the body's schema.
BODIES: Final = {"SearchSpec": JOB, "CostSpec": COST, "Extension": EXTENSION, "NewUploadBody": UPLOAD}
