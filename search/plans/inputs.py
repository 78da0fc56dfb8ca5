"""The quantizer of a network's input in every trial of a job: what is priced is done. Plain."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from costmodel.fold import unfolded
from costmodel.layer_classes import OUTPUT_SLOT
from costmodel.network import Network
from quantization.export.legality.base import EVERYTHING, Graph, Legality
from quantization.specs.parse import QuantizerSpec
from quantization.specs.qkeras import QuantizedBits
from search.data import DataInfo, InputInfo
from search.data.reading import input_reading
from search.data.values import InputValues
from search.errors import InvalidSpec, Problem
from search.spec.goals import BitsGoal, EnergyGoal
from search.spec.job import SearchSpec
from search.spec.types import NamedType

#: Bits of an input, where a job does not say.
INPUT_BITS: Final = 8
#: Numbers of more bits than a float32 has are as good as float.
_FLOAT_BITS: Final = 24

#: Integer bits that a quantizer may have, of either sign.
_MOST_INTEGER: Final = 64

InputQuantizers = Mapping[str, Mapping[str, QuantizerSpec]]


def input_quantizers(
    spec: SearchSpec, network: Network, data: DataInfo, legality: Legality = EVERYTHING
) -> InputQuantizers:
    """Input layer -> slot -> the quantizer of all trials; empty where inputs stay float, or are searched.

    `legality`: of the job's target; a width that nobody stated is the largest that it takes.
    Raises `InvalidSpec` for a source of half precision, which no layer does, and for inputs of which a job says twice
    what they are.
    """
    stated = spec.goal.source_quantizers if isinstance(spec.goal, EnergyGoal) else None
    if spec.quantizers.input:
        _check_candidates(spec, stated is not None)
    if spec.inputs == "priced" or spec.quantizers.input:
        return {}
    quantizers = {
        entry.name: _automatic(spec, network, entry, legality) if stated is None else _stated(stated)
        for entry in data.inputs
    }
    return {name: {OUTPUT_SLOT: quantizer} for name, quantizer in quantizers.items() if quantizer is not None}


def _check_candidates(spec: SearchSpec, is_stated: bool) -> None:
    """Raises `InvalidSpec` for candidates of an input that stays float, or has a stated type."""
    other = "inputs: priced, which leaves inputs float" if spec.inputs == "priced" else ""
    other = "goal.source_quantizers, which states one for all trials" if is_stated else other
    if other:
        reason = f"the job lists candidates for the input and has {other}: leave out one of the two"
        raise InvalidSpec([Problem("/quantizers/input", reason)])


def _automatic(
    spec: SearchSpec, network: Network, entry: InputInfo, legality: Legality
) -> QuantizerSpec | None:
    bits = spec.goal.input_bits if isinstance(spec.goal, BitsGoal) else INPUT_BITS
    tokens = input_reading(network, entry.name).tokens
    rows = [int(network.layer(name).config["input_dim"]) for name in tokens]
    if rows:
        return _whole(max(rows))
    if bits > _FLOAT_BITS:
        return None
    is_stated = isinstance(spec.goal, BitsGoal) and "input_bits" in spec.goal.model_fields_set
    widths = (bits,) if is_stated else range(bits, 0, -1)
    grids = [fitted(width, entry.values) for width in widths]
    graph = Graph(unfolded(network))
    return next((grid for grid in grids if _is_taken(legality, graph, entry.name, grid)), grids[0])


def _is_taken(legality: Legality, graph: Graph, name: str, quantizer: QuantizerSpec) -> bool:
    candidates = {name: {OUTPUT_SLOT: (quantizer,)}}
    return not (
        legality.candidate_refusals(graph, candidates)
        or any(refusal.layer == name for refusal in legality.input_refusals(graph, candidates))
    )


def _whole(count: int) -> QuantizedBits:
    """The grid of the whole numbers below `count`: rows that an Embedding looks up."""
    bits = max(1, (count - 1).bit_length())
    return QuantizedBits(bits=bits, integer=bits, keep_negative=False)


def fitted(bits: int, values: InputValues) -> QuantizedBits:
    """The grid of this many bits that holds these values; whole numbers lie on it if there are enough bits."""
    signed = values.low < 0
    if values.whole:
        integer = int(values.reach).bit_length()
    else:
        integer = math.ceil(math.log2(values.reach)) if values.reach > 0 else 0
    integer = max(-_MOST_INTEGER, min(integer, _MOST_INTEGER))
    return QuantizedBits(bits=bits, integer=integer, symmetric=signed, keep_negative=signed)


def _stated(source: NamedType | QuantizerSpec) -> QuantizerSpec | None:
    if not isinstance(source, NamedType):
        return source
    if source.name == "fp32":
        return None
    if source.name == "fp16":
        reason = (
            "no layer rounds inputs to fp16: use fp32 or fixed point, or price them only, with inputs: priced"
        )
        raise InvalidSpec([Problem("/goal/source_quantizers", reason)])
    data_type = source.data_type()
    return QuantizedBits(bits=data_type.bits, integer=data_type.int_bits, symmetric=True)


def input_warnings(spec: SearchSpec, data: DataInfo, quantizers: InputQuantizers) -> list[str]:
    """Stated quantizers, and candidates, that clip the inputs."""
    where = "goal.source_quantizers" if quantizers else "it"
    candidates = [candidate.quantizer for candidate in spec.quantizers.input]
    warnings = []
    for entry in data.inputs:
        reach = entry.values.reach
        named = f"input {entry.name!r}" if len(data.inputs) > 1 else "the input"
        warnings += _narrow(spec, named, quantizers.get(entry.name, {}))
        warnings += [
            f"{named} has values up to {reach:.4g}, which {quantizer} clips: leave {where} out, or give it more"
            " integer bits"
            for quantizer in (*quantizers.get(entry.name, {}).values(), *candidates)
            if isinstance(quantizer, QuantizedBits) and 2.0**quantizer.integer < reach
        ]
    return warnings


def _narrow(spec: SearchSpec, named: str, slots: Mapping[str, QuantizerSpec]) -> list[str]:
    """Of an input that the target reads in fewer bits than other jobs have."""
    if spec.target == "generic" or (
        isinstance(spec.goal, EnergyGoal) and spec.goal.source_quantizers is not None
    ):
        return []
    return [
        f"{spec.target} reads {named} in {quantizer.bits} bits at most: all trials round it to {quantizer}"
        for quantizer in slots.values()
        if quantizer.bits < INPUT_BITS and not isinstance(spec.goal, BitsGoal)
    ]
