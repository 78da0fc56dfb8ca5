"""One layer with the types it is given: what the operators work on, and what they give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from costmodel.datatypes import FIXED8, Gate, accumulate, canonical, multiply
from costmodel.layer import Layer
from costmodel.lowering import Lowering, Parameter
from costmodel.work import DataType, Kind, Slots


class Mode(StrEnum):
    """How a layer's own types are found."""

    QUANTIZED = "quantized"  #: from its slots
    FLOAT = "float"  #: an unquantized layer of a trial: the reference types
    REFERENCE = "reference"  #: every layer of the reference network: the reference types


@dataclass(frozen=True, slots=True)
class Operation:
    """`count` times one gate."""

    label: str
    count: int
    gate: Gate


@dataclass(frozen=True, slots=True)
class Work:
    """What a layer does, typed: operations, tensors of parameters read, and the type it gives.

    `parameters`: (slot, numbers read, their type). `types` and `gates` name intermediate results: multiplier,
    accumulator, divider, ...
    """

    operations: tuple[Operation, ...]
    parameters: tuple[tuple[Parameter, DataType], ...]
    output: DataType
    operation_count: int
    types: Mapping[str, DataType] = field(default_factory=dict, hash=False)
    gates: Mapping[str, Gate] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class Case:
    """One layer with the types it is given, and how to fill in those it is not."""

    layer: Layer
    lowering: Lowering
    inputs: tuple[DataType, ...]
    slots: Slots
    mode: Mode
    internal: DataType  #: parameters and activations of unquantized layers
    accumulator: DataType  #: sums of unquantized layers
    qtools: bool  #: count as QTools does where it differs
    inference: bool = False  #: the distinct values of trained tensors are known

    @property
    def overwritten(self) -> DataType | None:
        """The type QTools puts in place of a computed one, in layers that are not quantized."""
        return None if self.mode is Mode.QUANTIZED else self.accumulator

    def take(self, data_type: DataType) -> DataType:
        """A type somebody gave, as it is counted."""
        return canonical(data_type, self.inference)

    def owned(self, slot: str, *fallbacks: str) -> DataType:
        """The type of a parameter; unquantized ones have the reference's, for QTools 8 bits in a quantized layer."""
        if self.mode is not Mode.QUANTIZED:
            return self.internal
        for name in (slot, *fallbacks):
            found = self.slots.get(name)
            if found is not None:
                return self.take(found)
        return FIXED8 if self.qtools else self.internal

    def typed(self, parameters: tuple[Parameter, ...]) -> tuple[tuple[Parameter, DataType], ...]:
        """Each parameter with its type."""
        return tuple((parameter, self.owned(parameter.slot)) for parameter in parameters)

    def output(self, computed: DataType) -> DataType:
        """The type the layer gives: its activation's, else what its arithmetic gives, else the reference's."""
        if self.mode is not Mode.QUANTIZED:
            return self.accumulator if self.qtools else self.internal
        activation = self.slots.get("activation")
        return computed if activation is None else self.take(activation)

    def passed(self, computed: DataType) -> DataType:
        """The type given by a layer that has no numbers of its own: only the reference network overwrites it."""
        return computed if self.mode is Mode.FLOAT else self.output(computed)

    def priced(self, gate: Gate, output: DataType | None) -> Gate:
        """QTools prices a gate by the type it overwrote the product with; not where its table has no such price."""
        if not self.qtools or output is None:
            return gate
        if output.kind is Kind.FLOAT:
            known = gate.op in ("mul", "add")
            return Gate(gate.op, gate.factor, gate.bits, output.bits) if known else gate
        return Gate(gate.op, gate.factor, gate.bits)


def adder(data_type: DataType, factor: float = 1) -> Gate:
    """The gate that adds numbers of a type."""
    return Gate("add", factor, data_type.bits, data_type.bits if data_type.kind is Kind.FLOAT else 0)


def finished(
    case: Case, operations: list[Operation], output: DataType, count: int, **types: DataType
) -> Work:
    """The work of a layer whose parameters are typed by their own slots."""
    return Work(tuple(operations), case.typed(case.lowering.parameters), output, count, types)


def products(case: Case, weight: DataType, x: DataType, terms: int) -> tuple[Gate, DataType, DataType]:
    """Gate, product and sum of `terms` products."""
    gate, product = multiply(weight, x, case.qtools)
    return gate, product, accumulate(product, terms)


def moved(case: Case, x: DataType) -> DataType:
    """What moves numbers about does not change their type."""
    activation = case.slots.get("activation") if case.mode is Mode.QUANTIZED else None
    return x if activation is None else case.take(activation)
