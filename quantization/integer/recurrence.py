"""Recurrent layers on integers: every time step as operations that other layers have, too. numpy only."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, TypeAlias, TypeVar

import numpy as np

from quantization.integer import operations
from quantization.integer.network import IntegerOperation
from quantization.integer.operations import Product, Scale, Shift
from quantization.integer.tensor import IntegerTensor

Value = TypeVar("Value")
#: Applies an operation to tensors: of integers, or of a program that is being written.
Apply = Callable[[Any, Sequence[Value]], Value]
Operations = tuple[IntegerOperation, ...]

_MINUS_ONE = IntegerTensor(np.array(-1, np.int64), np.zeros((), np.int64))
_ZERO = IntegerTensor(np.array(0, np.int64), np.zeros((), np.int64))


@dataclass(frozen=True, eq=False)
class Cell:
    """One step of a recurrent layer: its products and functions.

    `inputs`, `states`: gate -> product with what a step reads, and with the state; `functions`: slot -> function.
    `state`: quantizes the states that a step starts from.
    """

    kind: str
    inputs: Mapping[str, Product]
    states: Mapping[str, Product]
    functions: Mapping[str, Operations]
    state: Operations = ()
    reset_after: bool = True

    def step(self, apply: Apply[Value], x: Value, memory: tuple[Value, ...]) -> tuple[Value, ...]:
        """The states after a step, the output first."""
        kept = tuple(_all(apply, self.state, value) for value in memory)
        return _STEPS[self.kind](self, apply, x, kept)

    def gate(self, apply: Apply[Value], name: str, slot: str, x: Value, state: Value) -> Value:
        """A function of the sum of both products of a gate."""
        total = apply(operations.added, [apply(self.inputs[name], [x]), apply(self.states[name], [state])])
        return _all(apply, self.functions[slot], total)


def _all(apply: Apply[Value], parts: Operations, x: Value) -> Value:
    for part in parts:
        x = apply(part, [x])
    return x


def _simple(cell: Cell, apply: Apply[Any], x: Any, memory: tuple[Any, ...]) -> tuple[Any, ...]:
    return (cell.gate(apply, "h", "activation", x, memory[0]),)


def _lstm(cell: Cell, apply: Apply[Any], x: Any, memory: tuple[Any, ...]) -> tuple[Any, ...]:
    output, carry = memory
    entering, forgetting, leaving = (
        cell.gate(apply, name, "recurrent_activation", x, output) for name in ("i", "f", "o")
    )
    candidate = cell.gate(apply, "c", "activation", x, output)
    carry = apply(
        operations.added,
        [
            apply(operations.multiplied, [forgetting, carry]),
            apply(operations.multiplied, [entering, candidate]),
        ],
    )
    shown = _all(apply, cell.functions["activation"], carry)
    return apply(operations.multiplied, [leaving, shown]), carry


def _gru(cell: Cell, apply: Apply[Any], x: Any, memory: tuple[Any, ...]) -> tuple[Any, ...]:
    [output] = memory
    update, reset = (cell.gate(apply, name, "recurrent_activation", x, output) for name in ("z", "r"))
    if cell.reset_after:
        past = apply(operations.multiplied, [reset, apply(cell.states["h"], [output])])
    else:
        past = apply(cell.states["h"], [apply(operations.multiplied, [reset, output])])
    total = apply(operations.added, [apply(cell.inputs["h"], [x]), past])
    candidate = _all(apply, cell.functions["activation"], total)
    rest = apply(Shift(operations.factor_of(1.0)), [apply(Scale(_MINUS_ONE, rounds=False), [update])])
    kept = apply(operations.multiplied, [update, output])
    return (apply(operations.added, [kept, apply(operations.multiplied, [rest, candidate])]),)


_STEPS: Mapping[str, Callable[..., tuple[Any, ...]]] = {"SimpleRNN": _simple, "LSTM": _lstm, "GRU": _gru}


@dataclass(frozen=True, eq=False)
class Recurrence:
    """A cell that goes along a series. `rounds`: whether the last bit of one of its functions depends on Keras."""

    cell: Cell
    units: int
    returns_sequences: bool
    backwards: bool
    rounds: bool

    def __call__(self, tensors: Sequence[IntegerTensor]) -> IntegerTensor:
        """The last output, or all of them."""
        x = tensors[0]
        return self.run(lambda part, values: part(values), x, x.codes.shape[1], x.codes.shape[2])

    def run(self, apply: Apply[Value], x: Value, length: int, features: int) -> Value:
        """As a call, of whatever tensors `apply` works on."""
        outputs = self.outputs(apply, x, length, features)
        return _in_a_row(apply, outputs, self.units) if self.returns_sequences else outputs[-1]

    def outputs(self, apply: Apply[Value], x: Value, length: int, features: int) -> list[Value]:
        """What each step gives, in the order of the steps."""

        def row(moment: int) -> Value:
            cuts = [(moment, length - 1 - moment)]
            one = apply(functools.partial(operations.cropped, cuts=cuts), [x])
            return apply(functools.partial(operations.reshaped, shape=(features,)), [one])

        moments = list(range(length))
        moments = moments[::-1] if self.backwards else moments
        first = row(moments[0])
        nothing = apply(Scale(_ZERO, rounds=False), [apply(next(iter(self.cell.inputs.values())), [first])])
        memory = (nothing,) * (2 if self.cell.kind == "LSTM" else 1)
        outputs: list[Value] = []
        for moment in moments:
            memory = self.cell.step(apply, first if moment == moments[0] else row(moment), memory)
            outputs.append(memory[0])
        return outputs


def _in_a_row(apply: Apply[Value], outputs: Sequence[Value], units: int) -> Value:
    """Outputs of steps as a series."""
    shape = functools.partial(operations.reshaped, shape=(1, units))
    return apply(functools.partial(operations.concatenated, axis=1), [apply(shape, [y]) for y in outputs])


#: How a Bidirectional merges: Keras' name -> the operations on both outputs.
MERGES: Final[Mapping[str, Operations]] = MappingProxyType(
    {
        "concat": (functools.partial(operations.concatenated, axis=1),),
        "sum": (operations.added,),
        "mul": (operations.multiplied,),
        "ave": (operations.added, Scale(operations.factor_of(0.5), rounds=False)),
    }
)


@dataclass(frozen=True, eq=False)
class BothWays:
    """A series read by one cell, and its reverse by another; what they give of the same moment is merged."""

    forward: Recurrence
    backward: Recurrence
    merge: str

    @property
    def rounds(self) -> bool:
        """Whether the last bit of a function depends on Keras."""
        return self.forward.rounds or self.backward.rounds

    def __call__(self, tensors: Sequence[IntegerTensor]) -> IntegerTensor:
        """The merged last output of both, or all of them."""
        x = tensors[0]
        return self.run(lambda part, values: part(values), x, x.codes.shape[1], x.codes.shape[2])

    def run(self, apply: Apply[Value], x: Value, length: int, features: int) -> Value:
        """As a call, of whatever tensors `apply` works on."""
        ahead, back = (way.outputs(apply, x, length, features) for way in (self.forward, self.backward))
        if not self.forward.returns_sequences:
            return self._merged(apply, ahead[-1], back[-1])
        merged = [self._merged(apply, one, other) for one, other in zip(ahead, back[::-1], strict=True)]
        return _in_a_row(apply, merged, self.forward.units * (2 if self.merge == "concat" else 1))

    def _merged(self, apply: Apply[Value], one: Value, other: Value) -> Value:
        first, *rest = MERGES[self.merge]
        return _all(apply, tuple(rest), apply(first, [one, other]))


#: What reads a series step by step.
Loop: TypeAlias = Recurrence | BothWays
