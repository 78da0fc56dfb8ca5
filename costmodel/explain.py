"""Where each figure of a layer comes from: types, counts, gate, formula, source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from costmodel.case import Operation
from costmodel.energy import EnergyReport, PricedLayer, gate_pj
from costmodel.memory import Access, Place
from costmodel.settings import EnergySettings
from costmodel.work import DataType, Kind

#: What QTools makes of classes it prices wrongly or not at all; docs/cost-model.md has the whole table.
QTOOLS_DIFFERS: Final[Mapping[str, str]] = {
    "AveragePooling2D": "QTools stops with an error; its count leaves out the output positions",
    "GlobalAveragePooling2D": "QTools stops with an error",
    "AveragePooling1D": "QTools counts no operations and does not widen the sum",
    "AveragePooling3D": "QTools counts no operations and does not widen the sum",
    "GlobalAveragePooling1D": "QTools counts no operations and does not widen the sum",
    "GlobalAveragePooling3D": "QTools counts no operations and does not widen the sum",
    "SeparableConv1D": "QTools counts neither operations nor parameters",
    "SeparableConv2D": "QTools counts neither operations nor parameters",
    "Conv1DTranspose": "QTools counts neither operations nor parameters",
    "Conv2DTranspose": "QTools counts no operations",
    "Conv3DTranspose": "QTools counts neither operations nor parameters",
    "Conv3D": "QTools counts neither operations nor parameters",
    "DepthwiseConv1D": "QTools counts neither operations nor parameters",
    "SimpleRNN": "QTools counts neither operations nor parameters",
    "LSTM": "QTools counts neither operations nor parameters",
    "GRU": "QTools counts neither operations nor parameters",
    "Bidirectional": "QTools counts neither operations nor parameters",
    "LayerNormalization": "QTools counts neither operations nor parameters",
    "MultiHeadAttention": "QTools counts neither operations nor parameters",
    "Embedding": "QTools counts no parameters",
    "DenseBatchNormalization": "QTools counts neither operations nor parameters",
    "Conv1DBatchNormalization": "QTools does not know this layer",
    "Conv2DBatchNormalization": "QTools counts neither operations nor parameters",
    "DepthwiseConv2DBatchNormalization": "QTools counts neither operations nor parameters",
    "Subtract": "QTools stops with an error",
    "Dot": "QTools stops with an error",
    "Maximum": "QTools counts no operations, though it defines a gate for them",
    "Minimum": "QTools counts no operations, though it defines a gate for them",
    "Average": "QTools counts no operations, though it defines a gate for them",
    "MaxPooling1D": "QTools counts no comparisons",
    "MaxPooling2D": "QTools counts no comparisons",
    "MaxPooling3D": "QTools counts no comparisons",
    "GlobalMaxPooling1D": "QTools counts no comparisons",
    "GlobalMaxPooling2D": "QTools counts no comparisons",
    "GlobalMaxPooling3D": "QTools counts no comparisons",
    "Activation": "QTools counts the output written, not the function",
    "ReLU": "QTools takes it for a layer it does not know and counts the input read",
    "LeakyReLU": "QTools takes it for a layer it does not know and counts the input read",
    "PReLU": "QTools takes it for a layer it does not know and counts the input read",
    "ELU": "QTools takes it for a layer it does not know and counts the input read",
    "Softmax": "QTools takes it for a layer it does not know and counts the input read",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One figure: `count` times `each_pj` is `energy_pj`; `included`: it counts towards the network."""

    part: str
    what: str
    formula: str
    count: int
    each_pj: float
    energy_pj: float
    included: bool
    source: str
    second_hand: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything one layer's energy was computed from."""

    name: str
    class_name: str
    quantized: bool
    types: tuple[tuple[str, str], ...]
    operation_count: int
    lines: tuple[Line, ...]
    included_pj: float
    share: float
    profile: str
    accounting: str
    qtools: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self) | {"types": dict(self.types)}


def explain(report: EnergyReport, name: str) -> Explanation:
    """Types, counts, gates, formulas and sources behind one layer's figures. `KeyError` if it has none."""
    layer, settings = report.layer(name), report.settings
    types = [(f"input {i}", describe(t)) for i, t in enumerate(layer.input_types)]
    types += [(role, describe(t)) for role, t in layer.work.types.items()]
    types += [(p.slot, describe(t)) for p, t in layer.work.parameters if p.slot not in layer.work.types]
    types.append(("output", describe(layer.output_type)))
    lines = [_moved(access, layer, settings) for access in layer.accesses]
    lines += [_computed(operation, layer, settings) for operation in layer.work.operations]
    return Explanation(
        name=name,
        class_name=layer.class_name,
        quantized=layer.quantized,
        types=tuple(types),
        operation_count=layer.operation_count,
        lines=tuple(lines),
        included_pj=layer.energy.included_pj,
        share=report.shares()[name],
        profile=settings.technology.name,
        accounting=str(settings.accounting),
        qtools=QTOOLS_DIFFERS.get(layer.class_name, ""),
    )


def describe(data_type: DataType) -> str:
    """A type in words: "8 bits, 3 integer, signed", "ternary", "float 32"."""
    match data_type.kind:
        case Kind.FLOAT:
            return f"float {data_type.bits}"
        case Kind.TERNARY | Kind.BINARY | Kind.BINARY_01:
            return {Kind.TERNARY: "-1, 0, 1", Kind.BINARY: "-1, 1", Kind.BINARY_01: "0, 1"}[data_type.kind]
        case Kind.POWER_OF_TWO:
            bound = "" if data_type.max_value is None else f" up to {data_type.max_value:g}"
            return f"power of two{bound}, {data_type.bits} bits, {_sign(data_type)}"
        case Kind.FIXED:
            return f"{data_type.bits} bits, {data_type.int_bits} integer, {_sign(data_type)}"


def _sign(data_type: DataType) -> str:
    return "signed" if data_type.signed else "unsigned"


def _moved(access: Access, layer: PricedLayer, settings: EnergySettings) -> Line:
    part, _, tensor = access.tensor.partition(":")
    way = {"inputs": "read input", "outputs": "write output", "parameters": "read"}[part]
    what = f"{way} {tensor}: {access.elements} numbers, {access.bits} bits, {access.place}"
    words = math.ceil(access.bits / settings.technology.sram_access_bits)
    count = words if access.place is Place.SRAM else access.bits
    figure = settings.technology.figure("dram" if access.place is Place.DRAM else "sram")
    source = "wired into the circuit" if access.place is Place.FIXED else figure.source
    return Line(
        part=part,
        what=what,
        formula=_memory_formula(access, words, settings),
        count=count,
        each_pj=access.energy_pj / count,
        energy_pj=access.energy_pj,
        included=part in layer.energy.included,
        source=source,
        second_hand=figure.second_hand and access.place is not Place.FIXED,
    )


def _memory_formula(access: Access, words: int, settings: EnergySettings) -> str:
    technology = settings.technology
    if access.place is Place.FIXED:
        return "0"
    size = max(access.held_bits, settings.min_sram_size_bits)
    sram = f"ceil({access.bits} / {technology.sram_access_bits}) = {words} accesses * sram({size} bits)"
    if access.place is Place.SRAM:
        return sram
    dram = f"{access.bits} bits * {technology.dram_pj_per_bit:g} pJ"
    return f"{dram} + {sram}" if settings.rd_wr_on_io else dram


def _computed(operation: Operation, layer: PricedLayer, settings: EnergySettings) -> Line:
    gate = operation.gate
    each_pj = gate_pj(operation, settings)
    fixed = "fixed_multiply" if gate.op == "mul" else "fixed_add"
    table = f"float{gate.float_bits}" if gate.float_bits else fixed
    figure = settings.technology.figure(table)
    return Line(
        part="operations",
        what=f"{operation.label}: {gate.op}",
        formula=f"{operation.count} * {gate.factor:g} * {table}({gate.bits:.6g} bits), {each_pj:.6g} pJ each",
        count=operation.count,
        each_pj=each_pj,
        energy_pj=operation.count * each_pj,
        included="operations" in layer.energy.included,
        source=figure.source,
        second_hand=figure.second_hand,
    )
