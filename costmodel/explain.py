"""How the energy of a layer was computed: types, counts, gates, formulas, sources."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from costmodel.data_type import DataType, NumberFormat
from costmodel.energy import EnergyReport, PricedLayer, gate_pj
from costmodel.memory import Access, Storage
from costmodel.settings import EnergySettings
from costmodel.typed_layer import Operation

#: Classes that a batch normalization is folded into here, but not in QKeras.
_NOT_FOLDED_BY_QKERAS: Final = (
    *(
        "Conv1D",
        "Conv1DTranspose",
        "Conv2DTranspose",
        "DepthwiseConv1D",
        "SeparableConv1D",
        "SeparableConv2D",
    ),
)

#: How QTools treats classes that it prices wrongly or not at all; docs/cost-model.md has the whole table.
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
    **dict.fromkeys(
        [f"{name}BatchNormalization" for name in _NOT_FOLDED_BY_QKERAS], "QTools does not know this layer"
    ),
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
    "ReLU": "QTools treats it as an unknown layer and counts the input read",
    "LeakyReLU": "QTools treats it as an unknown layer and counts the input read",
    "PReLU": "QTools treats it as an unknown layer and counts the input read",
    "ELU": "QTools treats it as an unknown layer and counts the input read",
    "Softmax": "QTools treats it as an unknown layer and counts the input read",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One term: `count` times `unit_pj` is `energy_pj`; `included`: it counts towards the network."""

    part: str
    description: str
    formula: str
    count: int
    unit_pj: float
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
    """Types, counts, gates, formulas and sources of one layer's energy. `KeyError` if the layer has no price."""
    layer, settings = report.layer(name), report.settings
    types = [(f"input {i}", describe(t)) for i, t in enumerate(layer.input_types)]
    types += [(role, describe(t)) for role, t in layer.work.types.items()]
    types += [(p.slot, describe(t)) for p, t in layer.work.parameters if p.slot not in layer.work.types]
    types.append(("output", describe(layer.output_type)))
    lines = [_access_line(access, layer, settings) for access in layer.accesses]
    lines += [_operation_line(operation, layer, settings) for operation in layer.work.operations]
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


_VALUES: Final = {
    NumberFormat.TERNARY: "-1, 0, 1",
    NumberFormat.BINARY: "-1, 1",
    NumberFormat.BINARY_01: "0, 1",
}


def describe(data_type: DataType) -> str:
    """A type in words: "8 bits, 3 integer, signed", "ternary", "float 32"."""
    match data_type.format:
        case NumberFormat.FLOAT:
            return f"float {data_type.bits}"
        case NumberFormat.TERNARY | NumberFormat.BINARY | NumberFormat.BINARY_01:
            return _VALUES[data_type.format]
        case NumberFormat.POWER_OF_TWO:
            bound = "" if data_type.max_value is None else f" up to {data_type.max_value:g}"
            return f"power of two{bound}, {data_type.bits} bits, {_sign(data_type)}"
        case NumberFormat.FIXED:
            whole = f"{data_type.bits} bits, {data_type.int_bits} integer, {_sign(data_type)}"
            return whole + (f", {_by_channel(data_type)}" if data_type.channel_bits else "")


def _by_channel(data_type: DataType) -> str:
    """How many channels have how many bits."""
    widths = sorted(Counter(data_type.channel_bits).items())
    return "by channel " + ", ".join(f"{channels} of {bits} bits" for bits, channels in widths)


def _sign(data_type: DataType) -> str:
    return "signed" if data_type.signed else "unsigned"


def _access_line(access: Access, layer: PricedLayer, settings: EnergySettings) -> Line:
    part, _, tensor = access.tensor.partition(":")
    way = {"inputs": "read input", "outputs": "write output", "parameters": "read"}[part]
    description = f"{way} {tensor}: {access.elements} numbers, {access.bits} bits, {access.storage}"
    words = math.ceil(access.bits / settings.technology.sram_access_bits)
    count = words if access.storage is Storage.SRAM else access.bits
    price_source = settings.technology.price_source("dram" if access.storage is Storage.DRAM else "sram")
    source = "wired into the circuit" if access.storage is Storage.FIXED else price_source.source
    return Line(
        part=part,
        description=description,
        formula=_memory_formula(access, words, settings),
        count=count,
        unit_pj=access.energy_pj / max(count, 1),
        energy_pj=access.energy_pj,
        included=part in layer.energy.included,
        source=source,
        second_hand=price_source.second_hand and access.storage is not Storage.FIXED,
    )


def _memory_formula(access: Access, words: int, settings: EnergySettings) -> str:
    technology = settings.technology
    if access.storage is Storage.FIXED:
        return "0"
    size = max(access.tensor_bits, settings.min_sram_size_bits)
    sram = f"ceil({access.bits} / {technology.sram_access_bits}) = {words} accesses * sram({size} bits)"
    if access.storage is Storage.SRAM:
        return sram
    dram = f"{access.bits} bits * {technology.dram_pj_per_bit:g} pJ"
    return f"{dram} + {sram}" if settings.rd_wr_on_io else dram


def _operation_line(operation: Operation, layer: PricedLayer, settings: EnergySettings) -> Line:
    gate = operation.gate
    unit_pj = gate_pj(operation, settings)
    fixed = "fixed_multiply" if gate.op == "mul" else "fixed_add"
    table = f"float{gate.float_bits}" if gate.float_bits else fixed
    price_source = settings.technology.price_source(table)
    return Line(
        part="operations",
        description=f"{operation.label}: {gate.op}",
        formula=f"{operation.count} * {gate.factor:g} * {table}({gate.bits:.6g} bits), {unit_pj:.6g} pJ each",
        count=operation.count,
        unit_pj=unit_pj,
        energy_pj=operation.count * unit_pj,
        included="operations" in layer.energy.included,
        source=price_source.source,
        second_hand=price_source.second_hand,
    )
