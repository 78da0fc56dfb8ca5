"""Rules that several formats have: of one input, of scales, steps and signs of quantizers. Plain."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from quantization.export.legality.base import (
    Graph,
    InputRule,
    NetworkInput,
    QuantizedTensor,
    SlotRule,
)
from quantization.specs.parse import QuantizerSpec


def one_input(graph: Graph) -> Iterator[tuple[str, str]]:
    """Inputs beyond the first, for what reads one array."""
    for name in graph.network.inputs[1:]:
        yield (
            name,
            "a second input; one array is read: let the model slice its inputs out of one (`x[:, 4:]`), or export it"
            " as keras, keras_plain, onnx, qonnx, hls4ml or qkeras",
        )


def whole(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """Of any slot: no part of the float values passes."""
    noise: Any = getattr(quantizer, "qnoise_factor", 1.0)
    return None if noise == 1.0 else "part of the float values pass; use qnoise_factor=1.0"


def one_number(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """Of activations: a scale that is known before the data, and the same for all."""
    alpha: Any = getattr(quantizer, "alpha", None)
    if isinstance(alpha, str):
        return f"alpha={alpha!r} depends on the data; give a number"
    return "one alpha for all activations is needed: give a number" if isinstance(alpha, tuple) else None


def symmetric(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """Codes must be as many below zero as above."""
    arguments: Any = quantizer
    if quantizer.kind in ("quantized_bits", "quantized_linear") and not arguments.symmetric:
        return "symmetric=True is needed"
    return None


def power_of_two_steps(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """A grid of `quantized_linear` whose step integers shift by: 2^(integer - bits + sign) times alpha."""
    alpha: Any = getattr(quantizer, "alpha", None)
    if quantizer.kind != "quantized_linear" or alpha is None or isinstance(alpha, str):
        return None
    numbers = alpha if isinstance(alpha, tuple) else (alpha,)
    if all(math.frexp(number)[0] == 0.5 for number in numbers):
        return None
    return "its step is not a power of two; give alpha as one, or use quantized_bits"


def unsigned(tensor: QuantizedTensor, quantizer: QuantizerSpec) -> str | None:
    """Of inputs that are read as codes from 0 on."""
    arguments: Any = quantizer
    if quantizer.kind in ("quantized_bits", "quantized_linear") and arguments.keep_negative:
        return (
            "codes have no sign: keep_negative=0 is needed, and data without negative numbers: examples that have none,"
            " with data.preprocessing unit or none"
        )
    if quantizer.kind == "quantized_relu" and (arguments.negative_slope or arguments.use_sigmoid):
        return "codes have no sign: no negative_slope, no use_sigmoid"
    if quantizer.kind == "quantized_relu" and arguments.relu_upper_bound is not None:
        return "codes reach to the last: leave relu_upper_bound out"
    return None


def read_through(rule: SlotRule) -> InputRule:
    """The rule of an input's quantizer for the function that takes its place: the one that reads the floats."""

    def faults(read: NetworkInput) -> Iterator[tuple[str, str]]:
        if not read.quantized:
            for layer in read.readers:
                tensor = read.graph.tensor("activation", layer.name)
                chosen = [quantizer for quantizer in read.quantizers if quantizer is not None]
                yield from ((layer.name, fault) for one in chosen for fault in rule.faults(tensor, one))

    return faults
