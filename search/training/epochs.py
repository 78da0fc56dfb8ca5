"""The epochs of one training: a compiled program run piece by piece, and the best state it reaches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from search.history import EpochReport
from search.plan import Plan
from search.scoring.forgiving_factor import factor_of
from search.training.evaluate import check_finite
from search.training.metrics import metric_value
from search.training.program.program import Program
from search.training.program.state import NO_BATCHES, Arguments, Block, DeviceData, ProgramState, Totals
from search.training.request import Reporter

#: How long a program runs before the reporter is called.
_PATIENCE_S: Final = 0.5


class Stopwatch:
    """The seconds that each step of a trial took."""

    def __init__(self, steps: Iterable[str]) -> None:
        self.seconds = dict.fromkeys(steps, 0.0)

    def add(self, step: str, seconds: float) -> None:
        """Count time towards a step."""
        self.seconds[step] += seconds

    @contextmanager
    def timing(self, step: str) -> Iterator[None]:
        """Count what the block takes towards a step."""
        began = time.perf_counter()
        yield
        self.add(step, time.perf_counter() - began)


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What the epochs of one training run on."""

    plan: Plan
    program: Program
    arguments: Arguments  #: of the program: the quantizers, widths and learning rate of the trial
    train: DeviceData
    validation: DeviceData
    seed: int  #: of the order of the examples
    reporter: Reporter
    stopwatch: Stopwatch
    arguments_at: Callable[[Arguments, ProgramState], Arguments] | None = (
        None  #: those of an epoch that begins at a state, where they change
    )


@dataclass(frozen=True, slots=True)
class Trained:
    """The best state of a training, and the epoch it was reached in: the first of equal ones. And the last state."""

    state: ProgramState
    epoch: int
    last: ProgramState


def untrained_metric(run: TrainingRun, state: ProgramState) -> float:
    """The metric on the validation data before the first epoch. Raises `Diverged` if it is not finite."""
    metrics = _validated(run, state)
    check_finite(metrics, "the network before training")
    return metrics[_metric_name(run)]


def train_epochs(run: TrainingRun, state: ProgramState, epochs: range, reported_before: int) -> Trained:
    """Train these epochs from a state and report each; its number counts those `reported_before`.

    Ends earlier where `training.patience` is exhausted. Raises `Diverged` at a loss or metric that is not finite, and
    what the reporter raises.
    """
    patience = run.plan.spec.training.patience
    factor, best_merit, best = factor_of(run.plan.spec), -math.inf, Trained(state, epochs.start - 1, state)
    for epoch in epochs:
        began = time.perf_counter()
        state, metrics = _trained(run, state, epoch, epochs.stop)
        metrics |= _validated(run, state)
        check_finite(metrics, f"epoch {epoch + 1}")
        merit = factor.merit(metrics[_metric_name(run)])
        if merit > best_merit:
            best_merit, best = merit, Trained(state, epoch, state)
        run.reporter.epoch(EpochReport(reported_before + epoch, metrics, time.perf_counter() - began))
        if patience is not None and epoch - best.epoch >= patience:
            break
    return replace(best, last=state)


def order_of_examples(seed: int, epoch: int, count: int) -> NDArray[np.int32]:
    """The order in which an epoch takes `count` examples."""
    return np.random.default_rng([seed, epoch]).permutation(count).astype(np.int32)


def _trained(
    run: TrainingRun, state: ProgramState, epoch: int, end: int
) -> tuple[ProgramState, dict[str, float]]:
    """The state after an epoch, of a training that ends before the epoch `end`, and its training metrics."""
    training = run.plan.spec.training
    with run.stopwatch.timing("train"):
        arguments = run.arguments.at_share(training.rate_share(epoch, max(training.epochs, end)))
        if run.arguments_at is not None:
            arguments = run.arguments_at(arguments, state)
        blocks = run.train.blocks(training.batch_size, order_of_examples(run.seed, epoch, len(run.train)))
    total = NO_BATCHES
    for block in blocks:

        def piece(start: int, stop: int, block: Block = block, before: int = total.batches) -> Totals:
            nonlocal state
            state, totals = run.program.train(arguments, state, block.data, block.order, start, stop)
            check_finite({"loss": totals.loss_sum}, f"batch {before + start + totals.batches}")
            return totals

        total = total + _in_pieces(run, "train", piece, block.batches)
    return state, _named(run, total)


def _validated(run: TrainingRun, state: ProgramState) -> dict[str, float]:
    total = NO_BATCHES
    for block in run.validation.blocks(run.program.evaluated_at_once):

        def piece(start: int, stop: int, data: DeviceData = block.data) -> Totals:
            return run.program.evaluate(run.arguments, state, data, start, stop)

        total = total + _in_pieces(run, "validate", piece, block.batches)
    return _named(run, total, "val_")


def _in_pieces(run: TrainingRun, name: str, piece: Callable[[int, int], Totals], batches: int) -> Totals:
    """The totals of all batches, in pieces so short that the reporter is called in time."""
    total, start, program = NO_BATCHES, 0, run.program
    pace, key = program.pace, (name, run.plan.spec.training.batch_size)
    while start < batches:
        size = max(1, int(_PATIENCE_S / pace[key])) if key in pace else 1
        stop = min(start + size, batches) if program.in_pieces else batches
        traces, began = program.traces, time.perf_counter()
        total = total + piece(start, stop)
        seconds = time.perf_counter() - began
        if program.traces == traces:
            pace[key] = seconds / (stop - start)
        run.stopwatch.add("train" if program.traces == traces else "compile", seconds)
        run.reporter.batch()
        start = stop
    return total


def _named(run: TrainingRun, totals: Totals, prefix: str = "") -> dict[str, float]:
    """Loss and metric by their names."""
    task = run.plan.task
    value = metric_value(task, totals.tally, totals.examples)
    return {f"{prefix}loss": totals.loss, f"{prefix}{task.metric}": value}


def _metric_name(run: TrainingRun) -> str:
    return f"val_{run.plan.task.metric}"
