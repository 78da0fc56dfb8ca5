"""A model as an integer program, for the formats that write one: its input's quantizer, and where it is not exact."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from quantization.export.context import DeviceFigures, ExportContext, Floats
from quantization.export.errors import ExportRefused
from quantization.export.legality.base import Refusal
from quantization.graph import ModelGraph, NoGraph
from quantization.integer import IntegerNetwork, NotInIntegers, integer_network
from quantization.integer.activations import Rounded, integer_quantizer
from quantization.integer.lower import lower
from quantization.integer.network import FLOAT_BITS
from quantization.integer.program import Program
from quantization.integer.steps import Steps
from quantization.specs.parse import as_spec
from quantization.specs.qkeras import QuantizedBits

#: Option: the input's quantizer where the model has none.
AUTOMATIC: Final = "auto"
_INPUT_BITS: Final = 8
_REMEDY: Final = (
    "quantize the input (`inputs: quantized` of a job), or name its quantizer in the option `input`"
)


@dataclass(frozen=True)
class WrittenProgram:
    """A program, the network it was made from, how inputs become codes, and why layers are not exact."""

    program: Program
    network: IntegerNetwork
    encoding: dict[str, Any]
    inexact: Mapping[str, str]

    def figures(self, **known: int) -> DeviceFigures:
        """Bytes of weights in their bits, multiplications, and what else is known."""
        kernels = [step for step in self.program.steps if step.op in ("product", "depthwise")]
        distinct = {  # the steps of a loop have the same weights
            (step.layer, array.tobytes()): array for step in kernels for array in _weights(step.arrays)
        }
        bits = sum(_bits(array) * array.size for array in distinct.values())
        macs = sum(step.output.size * step.arrays["kernel"].shape[0] for step in kernels)
        return DeviceFigures(packed_bytes=-(-bits // 8), macs=macs, **known)


def _weights(arrays: Mapping[str, Any]) -> list[Any]:
    return [arrays[name] for name in ("kernel", "bias") if np.any(arrays[name])]


def _bits(array: Any) -> int:
    """Bits of each number, as many as hold their places between the least and the largest."""
    low = int(array.min())
    step = math.gcd(*(int(number) - low for number in np.unique(array))) or 1
    return max(1, ((int(array.max()) - low) // step).bit_length())


def written_program(name: str, model: Any, context: ExportContext) -> WrittenProgram:
    """The program of a model; `ExportRefused`, naming the layer, where it has none."""
    try:
        network, rounded = _network(model, context)
        shape = tuple(model.inputs[0].shape[1:])
        if None in shape:
            raise NotInIntegers(network.input_name, f"its shape {shape} is open; give every length a number")
        program = lower(network, shape)
        encoding = _encoding(network)
    except NotInIntegers as error:
        raise ExportRefused(name, [Refusal(error.layer, error.reason)]) from None
    return WrittenProgram(program, network, encoding, {**rounded, **_inexact(program)})


def _network(model: Any, context: ExportContext) -> tuple[IntegerNetwork, dict[str, str]]:
    option = context.options.get("input", AUTOMATIC)
    if option != AUTOMATIC:
        spec = as_spec(option)
        return integer_network(model, spec), _rounded(model, f"the export rounds it to {spec}")
    try:
        return integer_network(model), {}
    except NotInIntegers as error:
        if error.layer != _input_name(model):
            raise
    spec = fitted(context.only_samples)
    reason = (
        f"the model reads it as float, the export rounds it to {spec}, which holds the samples; {_REMEDY}"
    )
    return integer_network(model, spec), _rounded(model, reason)


def _rounded(model: Any, reason: str) -> dict[str, str]:
    return {_input_name(model): reason}


def _input_name(model: Any) -> str:
    try:
        return ModelGraph(model).inputs[0]
    except NoGraph as error:
        raise NotInIntegers(model.name, str(error)) from error


def fitted(samples: Floats, bits: int = _INPUT_BITS) -> QuantizedBits:
    """The grid of this many bits that holds the samples."""
    low, reach = float(samples.min(initial=0.0)), float(np.abs(samples).max(initial=0.0))
    integer = math.ceil(math.log2(reach)) if reach > 0 else 0
    return QuantizedBits(bits=bits, integer=integer, symmetric=low < 0, keep_negative=low < 0)


def _encoding(network: IntegerNetwork) -> dict[str, Any]:
    """How floats become the codes of the input, as JSON values: on a grid, or by thresholds."""
    function = integer_quantizer(network.input_quantizer, network.input_name)
    if isinstance(function, Rounded):
        scale = 1 if function.scale is None else int(function.scale.codes)
        return {"step": function.exponent, "low": function.low, "high": function.high, "scale": scale}
    if isinstance(function, Steps):
        levels = function.of_floats(np.concatenate([[-np.inf], function.thresholds]))
        return {
            "thresholds": [float(value) for value in function.thresholds],
            "levels": levels.codes.tolist(),
        }
    raise NotInIntegers(network.input_name, f"{network.input_quantizer} of an input; use quantized_bits")


def _inexact(program: Program) -> dict[str, str]:
    """Layer -> why its numbers can differ from Keras'."""
    reasons = dict.fromkeys(
        program.inexact,
        "the model computes it in float32, here it has constants or steps of integers: the last bit may differ",
    )
    for step in program.steps:
        if step.peak.bit_length() > FLOAT_BITS and step.layer not in reasons:
            reasons[step.layer] = (
                f"its sums may need {step.peak.bit_length()} bits, Keras' float32 holds {FLOAT_BITS}: where they do,"
                " Keras rounds and the export does not"
            )
    return reasons
