"""A program on JAX: trials that run in lockstep in one process (`lockstep`) train in one vmapped computation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from search.training.program.lockstep import coalesced
from search.training.program.program import Program
from search.training.program.state import Arguments, DeviceData, ProgramState, Totals
from search.training.program.vmap import stacked, trials_that_fit, unstacked, vmapped

Tensor = Any

#: Trials that train together on an accelerator: more than small networks gain by (`benchmarks/gpu.py`).
_ON_AN_ACCELERATOR: Final = 32

#: Share of an accelerator's memory that trials may take.
_OF_MEMORY: Final = 0.8


class _Epoch(NamedTuple):
    """The training of one trial on some examples."""

    arguments: Arguments
    state: ProgramState
    order: NDArray[np.int32]  #: the examples, batch after batch


class _Evaluation(NamedTuple):
    """The evaluation of one trial."""

    arguments: Arguments
    state: ProgramState


def trials_per_process(configured: int) -> int:
    """How many trials this process should run at once: `configured`, or if that is 0 a number that suits its device.

    1 on other backends than JAX: they compute no trials together.
    """
    if keras.backend.backend() != "jax":
        return 1
    import jax

    return configured or (1 if jax.default_backend() == "cpu" else _ON_AN_ACCELERATOR)


class JaxProgram(Program):
    """A program whose epochs are compiled whole, for as many trials as run at once. Its shapes are all fixed."""

    in_pieces = False

    def train(
        self,
        arguments: Arguments,
        state: ProgramState,
        data: DeviceData,
        order: Tensor,
        start: int,
        stop: int,
    ) -> tuple[ProgramState, Totals]:
        """As `Program.train`, but that it goes on after a loss that is not finite."""
        size = int(arguments.batch_size)
        epoch = _Epoch(arguments, state, np.asarray(order)[start * size : stop * size])
        key = (self, "train", data, size, len(epoch.order))
        compute = partial(self._in_parts, partial(self._train_all, data, size, stop - start), size)
        result: tuple[ProgramState, Totals] = coalesced(key, compute, epoch)
        return result

    def evaluate(
        self,
        arguments: Arguments,
        state: ProgramState,
        data: DeviceData,
        start: int = 0,
        stop: int | None = None,
    ) -> Totals:
        """As `Program.evaluate`, on all batches."""
        size = int(arguments.batch_size)
        compute = partial(self._in_parts, partial(self._evaluate_all, data), size)
        totals: Totals = coalesced((self, "evaluate", data, size), compute, _Evaluation(arguments, state))
        return totals

    def _in_parts(self, compute: Any, size: int, trials: Sequence[Any]) -> list[Any]:
        """As many trials at a time as fit into the device's memory."""
        memory = _memory_bytes()
        most = trials_that_fit(self._model, size, memory) if memory else len(trials)
        parts = [trials[first : first + most] for first in range(0, len(trials), most)]
        return [result for part in parts for result in compute(part)]

    def _train_all(
        self, data: DeviceData, size: int, batches: int, epochs: Sequence[_Epoch]
    ) -> list[tuple[ProgramState, Totals]]:
        orders = np.stack([epoch.order for epoch in epochs])
        arguments = stacked([epoch.arguments for epoch in epochs])
        states = stacked([epoch.state for epoch in epochs])
        trained = vmapped(self).train(arguments, states, data, orders, size)
        return [
            (
                unstacked(trained.states, index),
                Totals(float(trained.losses[index]), trained.tallies[index], orders.shape[1], batches),
            )
            for index in range(len(epochs))
        ]

    def _evaluate_all(self, data: DeviceData, evaluations: Sequence[_Evaluation]) -> list[Totals]:
        arguments = stacked([evaluation.arguments for evaluation in evaluations])
        states = stacked([evaluation.state for evaluation in evaluations])
        return vmapped(self).evaluate(arguments, states, data)


def _memory_bytes() -> int:
    """What trials may take of the device's memory; 0 where that is unknown."""
    import jax

    stats = jax.devices()[0].memory_stats() or {}
    return int(stats.get("bytes_limit", 0) * _OF_MEMORY)
