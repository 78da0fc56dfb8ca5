"""All costs by name, behind one interface."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from costmodel.bits import BitsReport, BitsSettings, model_bits
from costmodel.data_type import DataType, SlotTypes
from costmodel.energy import EnergyReport, Node, Prepared, PricedLayer, price, price_reference
from costmodel.errors import InvalidSettings
from costmodel.layer import elements
from costmodel.lowering import Family
from costmodel.settings import EnergySettings


@dataclass(frozen=True)
class CostSettings:
    """How costs are counted; each cost uses the part it needs."""

    energy: EnergySettings = field(default_factory=EnergySettings)
    bits: BitsSettings = field(default_factory=BitsSettings)


@dataclass(frozen=True)
class _CostQuery:
    """A network and the types to price it with; `types` None: the reference."""

    prepared: Prepared
    types: Mapping[str, SlotTypes] | None
    settings: CostSettings

    def energy(self) -> EnergyReport:
        if self.types is None:
            return price_reference(self.prepared, self.settings.energy)
        return price(self.prepared, self.types, self.settings.energy)

    def bits(self) -> BitsReport:
        return model_bits(self.prepared.network, self.types or {}, self.settings.bits)


def macs(prepared: Prepared) -> int:
    """Multiply-accumulate operations, whatever their types."""
    return sum(node.lowering.macs for node in prepared.nodes)


def bops(report: EnergyReport, prepared: Prepared) -> float:
    """Bit operations: MACs * (b_a b_w + b_a + b_w + log2 n), n products a sum (Baskin et al., UNIQ, 2018).

    b_a, b_w: bits of input and kernel. Layers without MACs count nothing; where a layer has several kinds of
    products its first input and kernel stand for all.
    """
    total = 0.0
    for node, layer in zip(prepared.nodes, report.layers, strict=True):
        if node.lowering.macs:
            a, weight = operands(node, layer)
            sums = math.log2(max(node.lowering.terms, 1))
            for macs, w in weight.parts(node.lowering.macs):
                total += macs * (a.bits * w.bits + a.bits + w.bits + sums)
    return total


def ebops(report: EnergyReport, prepared: Prepared) -> float:
    """Effective bit operations, after HGQ (Sun et al., 2024): b_a b_w a multiplication, and the bias' bits an output.

    Widths are the types', signs included, so this bounds from above what the values of trained weights give.
    """
    total = 0.0
    for node, layer in zip(prepared.nodes, report.layers, strict=True):
        if node.lowering.macs:
            a, w = operands(node, layer)
            total += a.bits * w.stored_bits(node.lowering.macs)
            bias = layer.work.types.get("bias")
            total += bias.stored_bits(elements(node.layer.output_shape)) if bias else 0
    return total


def operands(node: Node, layer: PricedLayer) -> tuple[DataType, DataType]:
    """Types of the numbers that a layer multiplies: of its input and its first kernel, or of both inputs."""
    if node.lowering.family is Family.DOT:
        return layer.input_types[0], layer.input_types[1]
    return layer.input_types[0], layer.work.parameters[0][1]


def peak_activation_bits(report: EnergyReport, prepared: Prepared) -> int:
    """The most bits of activations stored at one time, with layers run in topological order.

    A tensor is stored until its last reader has run. Sums that only a folded batch normalization or an activation
    reads are never written.
    """
    fused = _fused(report, prepared)
    last = _last_reads(prepared, fused)
    stored: dict[tuple[bool, int], int] = {
        (True, i): elements(prepared.network.layer(name).output_shape) * report.source_types[i].bits
        for i, name in enumerate(prepared.network.inputs)
    }
    peak = sum(stored.values())
    for index, (node, layer) in enumerate(zip(prepared.nodes, report.layers, strict=True)):
        if fused[index] is None:
            stored[False, index] = elements(node.layer.output_shape) * layer.output_type.bits
        peak = max(peak, sum(stored.values()))
        stored = {key: bits for key, bits in stored.items() if last.get(key, -1) > index}
    return peak


def _last_reads(prepared: Prepared, fused: list[int | None]) -> dict[tuple[bool, int], float]:
    """When each tensor is last read; the input of a fused chain is stored until the chain ends."""
    ends = list(range(len(fused)))
    for index in reversed(ends):
        reader = fused[index]
        ends[index] = index if reader is None else ends[reader]
    last: dict[tuple[bool, int], float] = {}
    for index, node in enumerate(prepared.nodes):
        for source in node.sources:
            last[source] = max(last.get(source, -1), ends[index])
        if node.on_output:
            last[False, index] = math.inf
    return last


def _fused(report: EnergyReport, prepared: Prepared) -> list[int | None]:
    """For each layer the only reader, if it takes the output without it being written; None if it is written.

    That reader is an activation, or a batch normalization that folds into the layer.
    """
    readers: list[list[int]] = [[] for _ in prepared.nodes]
    for index, node in enumerate(prepared.nodes):
        for is_input, source in node.sources:
            if not is_input:
                readers[source].append(index)
    return [_only_reader(report, prepared, node, readers[index]) for index, node in enumerate(prepared.nodes)]


def _only_reader(report: EnergyReport, prepared: Prepared, node: Node, readers: list[int]) -> int | None:
    if len(readers) != 1 or node.on_output or node.lowering.family is Family.ACTIVATION:
        return None
    family = prepared.nodes[readers[0]].lowering.family
    return readers[0] if report.layers[readers[0]].folds or family is Family.ACTIVATION else None


#: Costs by name; each is one number: pJ, bits, bytes or operations.
COSTS: Final[Mapping[str, Callable[[_CostQuery], float]]] = {
    "energy": lambda query: query.energy().energy_pj,
    "bits": lambda query: query.bits().total,
    "bytes": lambda query: query.bits().bytes,
    "parameter_bits": lambda query: query.bits().parameters,
    "activation_bits": lambda query: query.bits().activations,
    "macs": lambda query: macs(query.prepared),
    "bops": lambda query: bops(query.energy(), query.prepared),
    "ebops": lambda query: ebops(query.energy(), query.prepared),
    "peak_activation_bits": lambda query: peak_activation_bits(query.energy(), query.prepared),
}

#: What each cost is counted in.
UNITS: Final[Mapping[str, str]] = {
    "energy": "pJ",
    "bits": "bit",
    "bytes": "byte",
    "parameter_bits": "bit",
    "activation_bits": "bit",
    "macs": "MAC",
    "bops": "BOP",
    "ebops": "EBOP",
    "peak_activation_bits": "bit",
}


def network_cost(
    name: str, prepared: Prepared, types: Mapping[str, SlotTypes] | None, settings: CostSettings | None = None
) -> float:
    """One cost of a network with these types; None: of the unquantized reference.

    Raises `InvalidSettings` for an unknown name, and what `price` and `model_bits` raise.
    """
    rule = COSTS.get(name)
    if rule is None:
        raise InvalidSettings("cost", f"{str(name)[:40]!r} is unknown; known: {', '.join(COSTS)}")
    return float(rule(_CostQuery(prepared, types, settings or CostSettings())))
