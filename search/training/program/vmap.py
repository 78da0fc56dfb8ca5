"""A program run for k trials at once, on JAX: their tensors have one more axis, the first."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray

from search.training.program.program import Program
from search.training.program.state import NOTHING, DeviceData, State, Totals

Tensor = Any

#: Examples measured at once.
MEASURED: Final = 1024

#: Copies of each activation that training holds: forwards, quantized, backwards, and what the backend needs besides.
_ACTIVATION_COPIES: Final = 6
#: Copies of each weight: itself, its gradient, two moments, quantized, and what the backend needs besides.
_WEIGHT_COPIES: Final = 8
_BYTES: Final = 4


def how_many(model: keras.Model, batch_size: int, memory_bytes: int) -> int:
    """How many trials of a model's shape fit into so much memory; at least 1. An estimate from above."""
    activations = sum(int(np.prod(layer.output.shape[1:])) for layer in model.layers)
    examples = max(batch_size, MEASURED)
    one: int = _BYTES * (
        activations * examples * _ACTIVATION_COPIES + int(model.count_params()) * _WEIGHT_COPIES
    )
    return max(1, int(memory_bytes) // one)


@functools.lru_cache(maxsize=4)
def together_of(program: Program) -> Together:
    """The program for many trials; kept, because it is traced."""
    return Together(program)


class Together:
    """A program that runs k trials at once. Traced for each k, number of batches and size of batch."""

    def __init__(self, program: Program) -> None:
        import jax

        self._program = program
        self._train = jax.jit(self._train_batches, static_argnames="size")
        self._measure = jax.jit(jax.vmap(self._measured, in_axes=(0, 0, None, None)))

    def train(
        self, arguments: Any, states: Any, data: DeviceData, orders: NDArray[np.int32], size: int
    ) -> tuple[Any, Any, Any]:
        """Train each trial on the examples of its row of `orders`; states, sums of losses and tallies after it.

        All full batches are one call, the rest of the examples another.
        """
        full = orders.shape[1] // size * size
        losses: Any = np.zeros(len(orders), np.float32)
        tallies: Any = 0
        for part, batch in ((orders[:, :full], size), (orders[:, full:], orders.shape[1] - full)):
            if part.size:
                states, loss, got = self._train(arguments, states, data.x, data.y, part, size=batch)
                losses, tallies = losses + np.asarray(loss), tallies + np.asarray(got)
        return states, losses, tallies

    def _train_batches(
        self, arguments: Any, states: Any, x: Tensor, y: Tensor, orders: Tensor, size: int
    ) -> Any:
        import jax

        self._program.traces += 1

        def one(arguments: Any, tensors: Any, places: Tensor) -> Any:
            state = self._program.scheme().with_tensors(tensors)
            targets = keras.tree.map_structure(lambda each: each[places], y)
            loss, after, tally = self._program.step(arguments, state, x[places], targets)
            return after.tensors(), loss * size, tally

        every = jax.vmap(one)

        def step(states: Any, places: Tensor) -> Any:
            states, loss, tally = every(arguments, states, places)
            return states, (loss, tally)

        batches = orders.reshape(len(orders), -1, size).transpose(1, 0, 2)
        states, (losses, tallies) = jax.lax.scan(step, states, batches)
        return states, losses.sum(0), tallies.sum(0)

    def validate(self, arguments: Any, states: Any, data: DeviceData) -> list[Totals]:
        """Loss and metric of each trial on all examples."""
        count = int(states[0].shape[0])
        totals = [NOTHING] * count
        for start in range(0, len(data), MEASURED):
            x, y = data.part(start, start + MEASURED)
            losses, tallies = (np.asarray(each) for each in self._measure(arguments, states, x, y))
            totals = [
                total + Totals(float(losses[trial]) * len(x), tallies[trial], len(x), 1)
                for trial, total in enumerate(totals)
            ]
        return totals

    def _measured(self, arguments: Any, tensors: Any, x: Tensor, y: Tensor) -> Any:
        self._program.traces += 1
        loss, tally, _ = self._program.measured(arguments, self._program.scheme().with_tensors(tensors), x, y)
        return loss, tally

    def state_of(self, states: Any, trial: int) -> State:
        """The state of one of them."""
        return self._program.scheme().with_tensors([each[trial] for each in states])


def stacked(trials: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Tensors of many trials as tensors with one more axis, the first."""
    return tuple(keras.ops.stack(tensors) for tensors in zip(*trials, strict=True))
