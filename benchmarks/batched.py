"""Many trials of one shape in one program, for accelerators: JAX trains k configurations at once by `vmap`.

A single small network does not use an accelerator fully. On a CPU stacking does not pay: use `search.training.trial`.
Each configuration keeps its own weights, seeds and order of examples, and gets the same numbers as alone, up to the
rounding of sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from search.data import Dataset
from search.history import Assignment
from search.spec.training import Training
from search.training.build import assemble, rate_of
from search.training.epochs import order_of_examples
from search.training.program.cache import ProgramSpec, on_device, program_for
from search.training.program.program import Program
from search.training.program.state import ProgramState, Totals
from search.training.program.vmap import stacked, unstacked, vmapped


@dataclass(frozen=True)
class EpochTotals:
    """Loss and metric of one trial in one epoch."""

    train: Totals
    validation: Totals


def train_together(
    network: ProgramSpec,
    assignments: Sequence[Assignment],
    seeds: Sequence[int],
    training: Training,
    data: Dataset,
) -> list[tuple[list[EpochTotals], keras.Model]]:
    """Train assignments of equal widths at once; the epochs of each, and its model with the weights after the last.

    Raises ValueError where the backend is not JAX, and for assignments of different widths or that cannot be switched.
    """
    if keras.backend.backend() != "jax":
        raise ValueError("trials are trained together on the JAX backend only: set KERAS_BACKEND=jax")
    if len({tuple(sorted(assignment.widths.items())) for assignment in assignments}) != 1:
        raise ValueError("only assignments of the same widths can be trained together")
    programs = [program_for(network, assignment) for assignment in assignments]
    if any(program is not programs[0] for program in programs):
        raise ValueError("these assignments share no program: a quantizer is not among the candidates")
    models = [
        assemble(assignment, network.architecture, seed)
        for assignment, seed in zip(assignments, seeds, strict=True)
    ]
    rates = [rate_of(training, assignment.learning_rate) for assignment in assignments]
    epochs, states = _run(programs[0], models, seeds, rates, training, data)
    for model, state in zip(models, states, strict=True):
        programs[0].store(state, model)
    return list(zip(epochs, models, strict=True))


def _run(
    program: Program,
    models: Sequence[keras.Model],
    seeds: Sequence[int],
    rates: Sequence[float],
    training: Training,
    data: Dataset,
) -> tuple[list[list[EpochTotals]], list[ProgramState]]:
    """Train plain models of one shape; the epochs of each, and its state after the last."""
    many = vmapped(program)
    size = training.batch_size
    arguments_of_trials = [
        program.arguments(model, rate, size) for model, rate in zip(models, rates, strict=True)
    ]
    states = stacked([program.state(model) for model in models])
    train, validation = on_device(data, "train"), on_device(data, "validation")
    epochs: list[list[EpochTotals]] = [[] for _ in models]
    for epoch in range(training.epochs):
        orders = np.stack([order_of_examples(seed, epoch, len(train)) for seed in seeds])
        share = training.rate_share(epoch, training.epochs)
        arguments = stacked([one.at_share(share) for one in arguments_of_trials])
        states, losses, tallies = many.train(arguments, states, train, orders, size)
        measured = many.evaluate(arguments, states, validation)
        for trial, curve in enumerate(epochs):
            totals = Totals(float(losses[trial]), tallies[trial], len(train), -(-len(train) // size))
            curve.append(EpochTotals(totals, measured[trial]))
    return epochs, [unstacked(states, trial) for trial in range(len(models))]
