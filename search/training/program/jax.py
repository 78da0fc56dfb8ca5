"""A program on JAX: trials of one process that run at once (`lockstep`) train in one vmapped computation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import keras
import numpy as np

from search.training.program.lockstep import computed
from search.training.program.program import Program
from search.training.program.state import Arguments, DeviceData, State, Totals
from search.training.program.vmap import how_many, stacked, together_of

Tensor = Any

#: Trials that train together on an accelerator: more than small networks gain by (`benchmarks/gpu.py`).
_ON_AN_ACCELERATOR: Final = 32

#: Share of an accelerator's memory that trials may take.
_OF_MEMORY: Final = 0.8


def count_together(asked: int) -> int:
    """How many trials this process should run at once: `asked`, or where that is 0 what its device is good for.

    1 on other backends than JAX: they compute nothing together.
    """
    if keras.backend.backend() != "jax":
        return 1
    import jax

    return asked or (1 if jax.default_backend() == "cpu" else _ON_AN_ACCELERATOR)


class JaxProgram(Program):
    """A program whose epochs are compiled whole, for as many trials as run at once. Its shapes are all fixed."""

    in_pieces = False

    def train(
        self, trial: Arguments, state: State, data: DeviceData, order: Tensor, start: int, stop: int
    ) -> tuple[State, Totals]:
        """As `Program.train`, but that it goes on after a loss that is not finite."""
        size = int(trial.batch_size)
        places = np.asarray(order)[start * size : stop * size]
        key = (id(self), "train", id(data), size, len(places))
        compute = partial(self._in_parts, partial(self._train_all, data, size, stop - start), size)
        found: tuple[State, Totals] = computed(key, compute, (trial, state, places))
        return found

    def evaluate(
        self, trial: Arguments, state: State, data: DeviceData, start: int = 0, stop: int | None = None
    ) -> Totals:
        """As `Program.evaluate`, on all batches."""
        size = int(trial.batch_size)
        compute = partial(self._in_parts, partial(self._evaluate_all, data), size)
        found: Totals = computed((id(self), "evaluate", id(data), size), compute, (trial, state))
        return found

    def _in_parts(self, compute: Any, size: int, calls: Sequence[Any]) -> list[Any]:
        """As many at a time as fit into the device's memory."""
        most = how_many(self._model, size, memory) if (memory := _memory_bytes()) else len(calls)
        parts = [calls[first : first + most] for first in range(0, len(calls), most)]
        return [found for part in parts for found in compute(part)]

    def _train_all(
        self, data: DeviceData, size: int, batches: int, calls: Sequence[Any]
    ) -> list[tuple[State, Totals]]:
        together = together_of(self)
        arguments, states = _inputs(calls)
        orders = np.stack([places for _, _, places in calls])
        states, losses, tallies = together.train(arguments, states, data, orders, size)
        return [
            (
                together.state_of(states, index),
                Totals(float(losses[index]), tallies[index], orders.shape[1], batches),
            )
            for index in range(len(calls))
        ]

    def _evaluate_all(self, data: DeviceData, calls: Sequence[Any]) -> list[Totals]:
        return together_of(self).validate(*_inputs(calls), data)


def _inputs(calls: Sequence[Any]) -> tuple[Any, Any]:
    trials, states = [call[0].tensors() for call in calls], [call[1].tensors() for call in calls]
    return stacked(trials), stacked(states)


def _memory_bytes() -> int:
    """What trials may take of the device's memory; 0 where that is not known."""
    import jax

    stats = jax.devices()[0].memory_stats() or {}
    return int(stats.get("bytes_limit", 0) * _OF_MEMORY)
