"""A program run for k trials at once by `vmap`, on JAX: their tensors have one more axis, the first."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, TypeVar

import keras
import numpy as np
from numpy.typing import NDArray

from quantization.graph import ModelGraph
from search.data.inputs import example_count
from search.training.program.program import Program
from search.training.program.state import (
    NO_BATCHES,
    Arguments,
    DeviceData,
    EvaluatedBatch,
    ProgramState,
    Totals,
)

Tensor = Any
Tensors = TypeVar("Tensors", bound=tuple[Any, ...])

#: Examples evaluated at once.
EVALUATED_EXAMPLES: Final = 1024

#: Copies of each activation in training: forwards, quantized, backwards, and what the backend needs besides.
_ACTIVATION_COPIES: Final = 6
#: Copies of each weight: itself, its gradient, two moments, quantized, and what the backend needs besides.
_WEIGHT_COPIES: Final = 8
_BYTES: Final = 4


def trials_that_fit(model: keras.Model, batch_size: int, memory_bytes: int) -> int:
    """How many trials of a model's shape fit into this memory; at least 1. An estimate from above of their size."""
    tensors = (tensor for call in ModelGraph(model) for tensor in call.outputs)
    activations = sum(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in tensors)
    examples = max(batch_size, EVALUATED_EXAMPLES)
    one: int = _BYTES * (
        activations * examples * _ACTIVATION_COPIES + int(model.count_params()) * _WEIGHT_COPIES
    )
    return max(1, int(memory_bytes) // one)


@functools.lru_cache(maxsize=4)
def vmapped(program: Program) -> VmappedProgram:
    """The program for many trials; cached, because it is traced."""
    return VmappedProgram(program)


class TrainedTrials(NamedTuple):
    """States, sums of losses and sums of the metric after an epoch, each with the trials as first axis."""

    states: ProgramState
    losses: Any
    tallies: Any


class VmappedProgram:
    """A program that runs k trials at once. Traced for each k, number of batches and batch size."""

    def __init__(self, program: Program) -> None:
        import jax

        self._program = program
        self._train = jax.jit(self._train_batches, static_argnames="size")
        self._evaluate = jax.jit(jax.vmap(self._evaluate_batch, in_axes=(0, 0, None, None)))

    def train(
        self,
        arguments: Arguments,
        states: ProgramState,
        data: DeviceData,
        orders: NDArray[np.int32],
        size: int,
    ) -> TrainedTrials:
        """Train each trial on the examples of its row of `orders`, in batches of this size.

        All full batches are one call, the rest of the examples another.
        """
        full = orders.shape[1] // size * size
        losses: Any = np.zeros(len(orders), np.float32)
        tallies: Any = 0
        for part, batch in ((orders[:, :full], size), (orders[:, full:], orders.shape[1] - full)):
            if part.size:
                trained = self._train(arguments, states, data.x, data.y, part, size=batch)
                states = trained.states
                losses, tallies = losses + np.asarray(trained.losses), tallies + np.asarray(trained.tallies)
        return TrainedTrials(states, losses, tallies)

    def _train_batches(
        self, arguments: Arguments, states: ProgramState, x: Tensor, y: Tensor, orders: Tensor, size: int
    ) -> TrainedTrials:
        import jax

        self._program.traces += 1

        def train_one(arguments: Arguments, state: ProgramState, indices: Tensor) -> Any:
            examples, targets = keras.tree.map_structure(lambda part: part[indices], (x, y))
            trained = self._program.train_batch(arguments, state, examples, targets)
            return trained.state, trained.loss * size, trained.tally

        train_all = jax.vmap(train_one)

        def step(states: ProgramState, indices: Tensor) -> Any:
            states, loss, tally = train_all(arguments, states, indices)
            return states, (loss, tally)

        batches = orders.reshape(len(orders), -1, size).transpose(1, 0, 2)
        states, (losses, tallies) = jax.lax.scan(step, states, batches)
        return TrainedTrials(states, losses.sum(0), tallies.sum(0))

    def evaluate(self, arguments: Arguments, states: ProgramState, data: DeviceData) -> list[Totals]:
        """Loss and metric of each trial on all examples."""
        totals = [NO_BATCHES] * int(states.weights.shape[0])
        for start in range(0, len(data), EVALUATED_EXAMPLES):
            x, y = data.part(start, start + EVALUATED_EXAMPLES)
            count = example_count(x)
            evaluated = self._evaluate(arguments, states, x, y)
            losses, tallies = np.asarray(evaluated.loss), np.asarray(evaluated.tally)
            totals = [
                total + Totals(float(losses[trial]) * count, tallies[trial], count, 1)
                for trial, total in enumerate(totals)
            ]
        return totals

    def _evaluate_batch(
        self, arguments: Arguments, state: ProgramState, x: Tensor, y: Tensor
    ) -> EvaluatedBatch:
        self._program.traces += 1
        return self._program.evaluate_batch(arguments, state, x, y)


def stacked(trials: Sequence[Tensors]) -> Tensors:
    """Tuples of tensors of many trials as one tuple of tensors with one more axis, the first."""
    result: Tensors = keras.tree.map_structure(lambda *tensors: keras.ops.stack(tensors), *trials)
    return result


def unstacked(trials: Tensors, index: int) -> Tensors:
    """The tensors of one trial."""
    result: Tensors = keras.tree.map_structure(lambda tensor: tensor[index], trials)
    return result
