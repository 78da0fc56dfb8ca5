"""One layer with the data types of its tensors: what the pricing rules take, and the work they return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from costmodel.data_type import DataType, NumberFormat, SlotTypes
from costmodel.gates import LogicGate
from costmodel.layer import Layer
from costmodel.layer_classes import OUTPUT_SLOT
from costmodel.lowering import Lowering, Parameter
from costmodel.powers_of_two import as_counted
from costmodel.propagation import FIXED8, FLOAT32, accumulate, canonical, multiply

#: Bits of the widest integers that hardware adds and multiplies; wider numbers are computed in floating point.
MAX_INTEGER_BITS: Final = 64


class Mode(StrEnum):
    """Where the types of a layer's own tensors come from."""

    QUANTIZED = "quantized"  #: from its slots
    FLOAT = "float"  #: an unquantized layer of a trial: the reference types
    REFERENCE = "reference"  #: every layer of the reference network: the reference types


@dataclass(frozen=True, slots=True)
class Operation:
    """`count` times one gate."""

    label: str
    count: int
    gate: LogicGate


@dataclass(frozen=True, slots=True)
class LayerWork:
    """What a layer does, with types: operations, parameters read, and the type of its output.

    `parameters`: (slot, numbers read, their type). `types` and `gates` name intermediate results: multiplier,
    accumulator, divider, ...
    """

    operations: tuple[Operation, ...]
    parameters: tuple[tuple[Parameter, DataType], ...]
    output: DataType
    operation_count: int
    types: Mapping[str, DataType] = field(default_factory=dict, hash=False)
    gates: Mapping[str, LogicGate] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class TypedLayer:
    """One layer with the types of its inputs and slots, and the rules for the types that are not given."""

    layer: Layer
    lowering: Lowering
    inputs: tuple[DataType, ...]
    slots: SlotTypes
    mode: Mode
    internal: DataType  #: parameters and activations of unquantized layers
    accumulator: DataType  #: sums of unquantized layers
    qtools: bool  #: count as QTools does where it differs
    inference: bool = False  #: the distinct values of trained tensors are known

    @property
    def overwritten(self) -> DataType | None:
        """The type QTools puts in place of a computed one, in layers that are not quantized."""
        return None if self.mode is Mode.QUANTIZED else self.accumulator

    def as_counted(self, data_type: DataType) -> DataType:
        """A given type, with the fields that its format fixes; QTools knows no exponents of a power of two."""
        return as_counted(canonical(data_type, self.inference), self.qtools)

    def computed(self, data_type: DataType) -> DataType:
        """The type that a sum or product really has: floating point where no integer unit is as wide.

        Keras computes in floats anyway; `integer_network` refuses such sums. QTools lets them grow without end.
        """
        too_wide = data_type.format is NumberFormat.FIXED and data_type.bits > MAX_INTEGER_BITS
        return FLOAT32 if too_wide and not self.qtools else data_type

    def parameter_type(self, slot: str, *fallbacks: str) -> DataType:
        """The type of a parameter; unquantized ones have the reference's, for QTools 8 bits in a quantized layer."""
        if self.mode is not Mode.QUANTIZED:
            return self.internal
        for name in (slot, *fallbacks):
            data_type = self.slots.get(name)
            if data_type is not None:
                return self.as_counted(data_type)
        return FIXED8 if self.qtools else self.internal

    def parameter_types(self, parameters: tuple[Parameter, ...]) -> tuple[tuple[Parameter, DataType], ...]:
        """Each parameter with its type."""
        return tuple((parameter, self.parameter_type(parameter.slot)) for parameter in parameters)

    def output(self, computed: DataType) -> DataType:
        """The type of the output: its activation's, else the computed one; the reference's if not quantized."""
        if self.mode is not Mode.QUANTIZED:
            return self.accumulator if self.qtools else self.internal
        activation = self.slots.get("activation")
        return computed if activation is None else self.as_counted(activation)

    def function(self, own: str, slot: str = OUTPUT_SLOT) -> str:
        """The function that is computed in a slot: its quantizer's, if that is one itself, else the layer's own."""
        data_type = self.slots.get(slot) if self.mode is Mode.QUANTIZED else None
        return own if data_type is None else data_type.function or own

    def parameterless_output(self, computed: DataType) -> DataType:
        """The output type of a layer without parameters: only the reference network overwrites it."""
        return computed if self.mode is Mode.FLOAT else self.output(computed)

    def priced_gate(self, gate: LogicGate, output: DataType | None) -> LogicGate:
        """QTools prices a gate by the type it overwrote the product with; not where its table has no such price."""
        if not self.qtools or output is None:
            return gate
        if output.format is NumberFormat.FLOAT:
            has_price = gate.op in ("mul", "add")
            return LogicGate(gate.op, gate.factor, gate.bits, output.bits) if has_price else gate
        return LogicGate(gate.op, gate.factor, gate.bits)


def adder(data_type: DataType, factor: float = 1) -> LogicGate:
    """The gate that adds numbers of a type."""
    return LogicGate(
        "add", factor, data_type.bits, data_type.bits if data_type.format is NumberFormat.FLOAT else 0
    )


def layer_work(
    typed: TypedLayer, operations: list[Operation], output: DataType, count: int, **types: DataType
) -> LayerWork:
    """The work of a layer whose parameters are typed by their own slots."""
    return LayerWork(
        tuple(operations), typed.parameter_types(typed.lowering.parameters), output, count, types
    )


def products(
    typed: TypedLayer, weight: DataType, x: DataType, terms: int
) -> tuple[LogicGate, DataType, DataType]:
    """The gate of one product, the type of the product, and that of the sum of `terms` products."""
    gate, product = multiply(weight, x, typed.qtools)
    summed = product
    if product.format is NumberFormat.TERNARY and not typed.qtools:
        summed = DataType(
            NumberFormat.FIXED, 2, 1
        )  # QTools counts two integer bits, and so none of the units
    return gate, product, typed.computed(accumulate(summed, terms))


def moved_type(typed: TypedLayer, x: DataType) -> DataType:
    """The output type of a layer that only moves numbers: its input's, unless its output is quantized."""
    activation = typed.slots.get("activation") if typed.mode is Mode.QUANTIZED else None
    return x if activation is None else typed.as_counted(activation)
