"""A program that trains bits with the weights: the loss of a step grows with the bits that the tensors use.

The bits of every tensor (`quantization.switching.trained_bits`) follow the weights in the flat vector, so that the
optimizer treats them alike; only they have rates of their own, and weight decay leaves them alone. What a bit of a
group costs in units of the loss is an argument, `Arguments.pressure`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from quantization.switching.trained_bits import TrainedBits, TrainedSlots
from search.task import Task
from search.training.program.backend import jitted
from search.training.program.options import PLAIN, StepOptions
from search.training.program.program import ModelCall, Program
from search.training.program.state import Arguments, ProgramState
from search.training.program.updates import Updates
from search.training.program.variables import (
    FlatVariables,
    OpenShapeScope,
    flatten,
    model_variables,
)

Tensor = Any


@dataclass(frozen=True)
class BitsGroup:
    """Tensors whose bits have one price: all with one width of their own, or a tensor of weights with many."""

    bits: TrainedBits
    slots: tuple[tuple[str, str], ...]  #: (layer, slot)


@dataclass(frozen=True)
class TrainedValues:
    """What bits and weights are trained to."""

    candidates: list[int]  #: of each group, the index of the candidate that its bits are nearest to
    weights: dict[tuple[str, str], NDArray[np.float32]]  #: (layer, slot) -> quantized


class TrainedBitsProgram(Program):
    """A program of a model in whose slots are `TrainedSlots`. All shapes are fixed."""

    def __init__(
        self,
        model: keras.Model,
        task: Task,
        optimizer: str,
        trained: TrainedSlots,
        options: StepOptions = PLAIN,
    ) -> None:
        super().__init__(model, task, optimizer, options=options)
        self.quantizers = dict(trained)
        self.groups = _groups(trained)
        self._weight_slots = [key for key, quantizer in trained.items() if quantizer.is_weight]
        self._read = jitted(self._trained_values)
        variables = model_variables(model)
        bits = [variable for group in self.groups for variable in group.bits.variables]
        everything = [*variables.trainable, *bits]
        self._weights = FlatVariables(everything, [_shape(variable) for variable in everything], 0)
        self._statistics = FlatVariables(
            variables.statistics,
            [_shape(variable) for variable in variables.statistics],
            self._weights.end,
        )
        self._count = sum(math.prod(_shape(variable)) for variable in bits)
        self._updates = Updates(optimizer, options, undecayed=self._count)

    def arguments(
        self,
        model: keras.Model,
        rate: float,
        batch_size: int,
        shares: Mapping[str, float] = {},
        seed: int = 0,
    ) -> Arguments:
        """As `Program.arguments`, for bits that are not trained: see `with_pressure`."""
        plain = super().arguments(model, rate, batch_size, shares, seed)
        return plain._replace(
            rate=ops.concatenate([plain.rate, ops.zeros((self._count,), "float32")]),
            pressure=ops.zeros((len(self.groups),), "float32"),
        )

    def with_pressure(
        self, arguments: Arguments, pressure: NDArray[np.float32], of_weights: float, of_tensors: float
    ) -> Arguments:
        """With a pressure on each group, and rates of the bits that weights have for themselves, and of others."""
        rates = [
            np.full(math.prod(_shape(variable)), of_weights if group.bits.shape else of_tensors, np.float32)
            for group in self.groups
            for variable in group.bits.variables
        ]
        rate = self._without_bits(arguments.rate)
        return arguments._replace(
            rate=ops.concatenate([rate, *map(ops.convert_to_tensor, rates)]),
            pressure=ops.convert_to_tensor(pressure),
        )

    def state(self, model: keras.Model) -> ProgramState:
        """Of a new plain model; the bits are those of its quantizers."""
        plain = super().state(model)
        bits = [
            ops.convert_to_tensor(value)
            for group in self.groups
            for value in group.bits.initial(_candidate(model, group))
        ]
        weights = ops.concatenate([plain.weights, flatten(bits)])
        return plain._replace(weights=weights, moments=self._updates.first_moments(weights))

    def store(self, state: ProgramState, model: keras.Model, optimizer: Any = None) -> None:
        """Write all but the bits into a plain model and its optimizer."""
        super().store(
            state._replace(
                weights=self._without_bits(state.weights),
                moments=tuple(self._without_bits(moment) for moment in state.moments),
            ),
            model,
            optimizer,
        )

    def _without_bits(self, numbers: Tensor) -> Tensor:
        return numbers[: -self._count] if self._count else numbers

    def layer(self, name: str) -> Any:
        """A layer of the model."""
        return self._model.get_layer(name)

    def trained(self, state: ProgramState) -> TrainedValues:
        """What is trained, as the program evaluates it."""
        candidates, weights = self._read(state)
        return TrainedValues(
            [int(index) for index in candidates],
            {
                key: ops.convert_to_numpy(value)
                for key, value in zip(self._weight_slots, weights, strict=True)
            },
        )

    def _trained_values(self, state: ProgramState) -> tuple[list[Tensor], list[Tensor]]:
        self.traces += 1
        with self._scope(state):
            weights = [
                self.quantizers[key](self.layer(key[0]).weight_of(key[1])) for key in self._weight_slots
            ]
            return [group.bits.index() for group in self.groups], weights

    def _scope(self, state: ProgramState) -> OpenShapeScope:
        """Within it, the variables of the model have the values of a state, as they are evaluated."""
        weights = self._updates.evaluated(state.weights, state.moments)
        nothing = ops.zeros((0,), "int32")  # no dimension is open
        return OpenShapeScope(
            [
                *zip(self._weights.variables, self._weights.split(weights, nothing), strict=True),
                *zip(
                    self._statistics.variables, self._statistics.split(state.statistics, nothing), strict=True
                ),
            ]
        )

    def _call(
        self,
        arguments: Arguments,
        parts: Sequence[Tensor],
        statistics: Sequence[Tensor],
        integers: Sequence[Tensor],
        x: Tensor,
        *,
        training: bool,
    ) -> ModelCall:
        call = super()._call(arguments, parts, statistics, integers, x, training=training)
        if not training or not self.groups:
            return call
        with OpenShapeScope(list(zip(self._weights.variables, parts, strict=True))):
            used = [self._used(group) for group in self.groups]
        penalty = ops.sum(ops.stack(used) * arguments.pressure)
        return call._replace(penalties=[*call.penalties, penalty])

    def _used(self, group: BitsGroup) -> Tensor:
        """How many bits a group uses, as a smooth function of what is trained."""
        if not group.bits.shape:
            return group.bits.bits()
        [slot] = group.slots
        return self.quantizers[slot].used


def _shape(variable: Any) -> tuple[int, ...]:
    return tuple(map(int, variable.shape))


def _groups(trained: TrainedSlots) -> tuple[BitsGroup, ...]:
    slots: dict[int, list[tuple[str, str]]] = {}
    bits: dict[int, TrainedBits] = {}
    for key, quantizer in trained.items():
        slots.setdefault(id(quantizer.bits), []).append(key)
        bits[id(quantizer.bits)] = quantizer.bits
    return tuple(BitsGroup(bits[number], tuple(keys)) for number, keys in slots.items())


def _candidate(model: keras.Model, group: BitsGroup) -> int:
    """The candidate that a plain model has in the slots of a group; the widest if that is none."""
    layer, slot = group.slots[0]
    specs = group.bits.choice.specs
    spec = model.get_layer(layer).specs.get(slot)
    return specs.index(spec) if spec in specs else len(specs) - 1
