"""One trial: build, train, evaluate, save. Knows no database; a `Reporter` is told what happens."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

import quantization.layers  # noqa: F401 -- Keras finds the quantized layers of a saved model by their names
from costmodel.network import read_network
from quantization.models.as_network import network as plain_network
from quantization.models.convert import read_quantizers, weights_held
from search.cost.pricing import Pricer
from search.data import Dataset
from search.errors import Diverged, OutOfMemory
from search.history import Assignment, Cost, EpochReport, Execution, Measurement
from search.networks import architecture as models
from search.process import collect_sometimes, freeze_imports
from search.space.choices import choices
from search.spec.job import SearchSpec
from search.spec.objective import MAXIMIZE
from search.spec.resolved import Resolved
from search.task import Task, classification, task
from search.training.artifacts import save
from search.training.build import assemble, compile_model
from search.training.evaluate import evaluate_plainly
from search.training.metrics import metric_value
from search.training.program.cache import Network, on_device, program_for
from search.training.program.program import Program
from search.training.program.state import NOTHING, Arguments, DeviceData, State, Totals
from search.training.warm_start import CALIBRATION_EXAMPLES, adopt_weights, calibrate, is_alike

#: How long a program runs before the reporter is asked whether to go on.
_PATIENCE_S: Final = 0.5

#: float32, and two moments of an optimizer.
_BYTES_A_WEIGHT: Final = 12

#: Raised by TensorFlow (by name: it is not imported here) and by JAX when memory runs out.
_OUT_OF_MEMORY: Final = ("ResourceExhaustedError", "RESOURCE_EXHAUSTED", "OOM when allocating")


class Reporter(Protocol):
    """Who is told how a trial goes. Both calls may raise `Cancelled`, which ends the trial there and then."""

    def batch(self) -> None:
        """Some batches were trained or measured; called about twice a second, however many they were."""

    def epoch(self, report: EpochReport) -> None:
        """An epoch has ended."""


def run_trial(
    job: Resolved,
    assignment: Assignment,
    data: Dataset,
    pricer: Pricer,
    reporter: Reporter,
    folder: Path,
    *,
    seed: int,
    epochs: int | None = None,
    initial_epoch: int = 0,
    start_from: Path | None = None,
    shares: Mapping[str, float] = MappingProxyType({}),
    look: Callable[[float], None] | None = None,
) -> Measurement:
    """Train an assignment and measure it on the validation data, with the weights of its best epoch.

    Trains the epochs `initial_epoch` to `epochs` (default: the job's). `start_from` is the model.keras of an earlier
    trial. If that was of this assignment, training goes on with its weights and the state of its optimizer, as they
    were at its best epoch; of another one it takes the weights (`search.training.warm_start`). Layers in `shares`
    learn at that share of the learning rate.
    `look` is given the metric before the first epoch; it may raise. Examples are shuffled by
    `seed` and the number of the epoch, so that going on is like not having stopped (but for the random draws of layers,
    whose state Keras does not save).

    With several executions in the job this is done as often, from other seeds; the epochs of the later ones are
    numbered after those of the earlier, metric and loss are means, and the model is that of the best one.

    Writes the trained model, its quantizers, its integer weights and how its inputs were scaled into `folder`. The
    metric is measured with the saved model's own layers, so another process gets it, too. Raises `Diverged` when a
    loss or metric is not finite, `Infeasible` when no network can be built, `OutOfMemory` when memory runs out,
    ValueError when there is no epoch to train, and whatever the reporter raises.
    """
    spec = job.spec
    epochs = spec.training.epochs if epochs is None else epochs
    if not 0 <= initial_epoch < epochs:
        raise ValueError(f"no epoch to train from {initial_epoch} to {epochs}")
    freeze_imports()
    trial = None
    try:
        trial = _Trial(job, assignment, data, reporter, folder, seed, shares)
        return trial.run(pricer, range(initial_epoch, epochs), start_from, look)
    except Exception as error:
        if _is_out_of_memory(error):
            raise OutOfMemory(
                f"out of memory with batches of {spec.training.batch_size}: {_line(error)}"
            ) from error
        raise
    finally:
        collect_sometimes(0 if trial is None else trial.held_bytes)


def execution_seeds(seed: int, count: int) -> list[int]:
    """The seeds of a trial's executions: its own, and others that follow from it."""
    later = [int(np.random.SeedSequence([seed, index]).generate_state(1)[0]) for index in range(1, count)]
    return [seed, *(each % (2**31 - 1) for each in later)]


class _Trial:
    """The steps of one trial and the seconds each of them took."""

    def __init__(
        self,
        job: Resolved,
        assignment: Assignment,
        data: Dataset,
        reporter: Reporter,
        folder: Path,
        seed: int,
        shares: Mapping[str, float],
    ) -> None:
        self.shares = shares
        self.held_bytes = 0  #: by its models and their optimizers
        self._spec, self._assignment, self._data = job.spec, assignment, data
        self._reporter, self._folder, self._seed = reporter, folder, seed
        self._architecture = models.architecture(job.model)
        self._network = read_network(self._architecture)
        self._task = task(job.spec, self._network)
        self._durations = dict.fromkeys(("build", "compile", "train", "evaluate", "save"), 0.0)
        self._weights = ExitStack()  # of trained models, quantized once to be measured and saved

    def run(
        self,
        pricer: Pricer,
        epochs: range,
        start_from: Path | None,
        look: Callable[[float], None] | None = None,
    ) -> Measurement:
        cost = pricer.price(self._assignment)  # first: what cannot be priced need not be trained
        with self._weights:
            return self._run(cost, epochs, start_from, look)

    def _run(
        self, cost: Cost, epochs: range, start_from: Path | None, look: Callable[[float], None] | None
    ) -> Measurement:
        seeds = execution_seeds(self._seed, self._spec.training.executions)
        best, model = self._execute(seeds[0], epochs, 0, start_from, look)
        found = [best]
        for index, seed in enumerate(seeds[1:], start=1):
            other, other_model = self._execute(seed, epochs, index * len(epochs), start_from)
            found.append(other)
            if self._merit(other.metric) > self._merit(best.metric):
                best, model = other, other_model
        with self._timed("save"):
            save(model, self._data, self._folder)
        return Measurement(
            metric=statistics.fmean(each.metric for each in found),
            loss=statistics.fmean(each.loss for each in found),
            cost=cost,
            durations_s=self._durations,
            best_epoch=best.best_epoch,
            executions=tuple(found) if len(found) > 1 else (),
        )

    def _execute(
        self,
        seed: int,
        epochs: range,
        before: int,
        start_from: Path | None,
        look: Callable[[float], None] | None = None,
    ) -> tuple[Execution, keras.Model]:
        """One training, and its model with the weights of its best epoch; `before` epochs came in earlier ones."""
        with self._timed("build"):
            model = assemble(self._assignment, self._architecture, seed)
            compile_model(model, self._spec.training, self._task, self._assignment.learning_rate)
        self.held_bytes += _BYTES_A_WEIGHT * model.count_params()
        with self._timed("compile"):
            program = program_for(self._shared(), self._assignment)
            state = program.state(model)
            if start_from is not None:
                state = self._continued(program, state, start_from, model)
            training = _Training(self, program, model, state, seed)
        if look is not None:
            look(training.untrained())
        training.run(epochs, before)
        with self._timed("evaluate"):
            model.optimizer.build(model.trainable_variables)
            program.store(training.best, model, model.optimizer)
            self._weights.enter_context(weights_held(model))
            measured = _measured(self._task, evaluate_plainly(model, self._task, self.part("validation")))
        best_epoch = before + training.best_epoch
        return Execution(seed, measured["metric"], measured["loss"], best_epoch), model

    def metrics(self, totals: Totals, prefix: str = "") -> dict[str, float]:
        """Loss and metric by their names."""
        value = metric_value(self._task, totals.tally, totals.examples)
        return {f"{prefix}loss": totals.loss, f"{prefix}{self._task.metric}": value}

    def merit(self, metrics: Mapping[str, float]) -> float:
        """The metric on the validation data, with the sign that makes larger better."""
        return self._merit(metrics[f"val_{self._task.metric}"])

    def _merit(self, metric: float) -> float:
        return metric if self._spec.objective.direction == MAXIMIZE else -metric

    @property
    def rate(self) -> float:
        """The learning rate: the assignment's, or the job's."""
        own = self._assignment.learning_rate
        return self._spec.training.base_rate if own is None else own

    def part(self, name: str) -> DeviceData:
        """A part of the data, where programs run."""
        return on_device(self._data, name)

    def order(self, seed: int, epoch: int) -> NDArray[np.int32]:
        """The order in which an epoch takes the examples."""
        places = np.random.default_rng([seed, epoch]).permutation(len(self._data.x_train))
        return places.astype(np.int32)

    def spend(self, step: str, seconds: float) -> None:
        """Count time to a step."""
        self._durations[step] += seconds

    @property
    def spec(self) -> SearchSpec:
        """The job."""
        return self._spec

    @property
    def reporter(self) -> Reporter:
        """Who is told."""
        return self._reporter

    def _shared(self) -> Network:
        found = choices(self._spec, self._network)
        candidates: dict[str, dict[str, tuple[Any, ...]]] = {}
        for slot in found.slots:
            for layer in slot.layers:
                candidates.setdefault(layer, {})[slot.slot] = slot.candidates
        return Network(
            architecture=self._architecture,
            task=self._task,
            optimizer=self._spec.training.optimizer,
            candidates=candidates,
            tuned=tuple(name for width in found.widths for name in width.layers),
        )

    def _continued(self, program: Program, state: State, path: Path, model: keras.Model) -> State:
        """The whole state of an earlier trial of this assignment; of another one the weights that fit."""
        earlier = keras.models.load_model(path)
        if is_alike(earlier, model):
            return program.continued(state, earlier, earlier.optimizer)
        adopt_weights(earlier, model)
        if self._spec.training.start == "calibrated" and not read_quantizers(earlier):
            calibrate(model, self._data.x_train[:CALIBRATION_EXAMPLES])
        return program.state(model)

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.spend(step, time.perf_counter() - began)


class _Training:
    """The epochs of one trial: runs the program piece by piece, keeps the best state (the first of equal ones)."""

    def __init__(self, trial: _Trial, program: Program, model: keras.Model, state: State, seed: int) -> None:
        training = trial.spec.training
        self._owner, self._program, self._state, self._seed = trial, program, state, seed
        self._arguments: Arguments = program.arguments(model, trial.rate, training.batch_size, trial.shares)
        self._train, self._validation = trial.part("train"), trial.part("validation")
        self._batches = -(-len(self._train) // training.batch_size)
        self._best = -math.inf
        self.best_epoch = -1
        self.best = state

    def untrained(self) -> float:
        """The metric on the validation data before the first epoch."""
        metrics = self._validated()
        _check_finite(metrics, "the network before training")
        return metrics[f"val_{self._owner.spec.objective.metric}"]

    def run(self, epochs: range, before: int = 0) -> None:
        """Train these epochs and report each, numbered after those `before`."""
        training = self._owner.spec.training
        for epoch in epochs:
            began = time.perf_counter()
            share = training.rate_share(epoch, max(training.epochs, epochs.stop))
            metrics = {**self._trained(epoch, share), **self._validated()}
            _check_finite(metrics, f"epoch {epoch + 1}")
            merit = self._owner.merit(metrics)
            if merit > self._best:
                self._best, self.best_epoch, self.best = merit, epoch, self._state
            self._owner.reporter.epoch(EpochReport(before + epoch, metrics, time.perf_counter() - began))

    def _trained(self, epoch: int, share: float) -> dict[str, float]:
        began = time.perf_counter()
        arguments = self._arguments.at_share(share)
        order = keras.ops.convert_to_tensor(self._owner.order(self._seed, epoch))
        self._owner.spend("train", time.perf_counter() - began)

        def piece(start: int, stop: int) -> Totals:
            self._state, found = self._program.train(arguments, self._state, self._train, order, start, stop)
            _check_finite({"loss": found.loss_sum}, f"batch {start + found.batches}")
            return found

        totals = self._in_pieces("train", piece, self._batches)
        return self._owner.metrics(totals)

    def _validated(self) -> dict[str, float]:
        def piece(start: int, stop: int) -> Totals:
            return self._program.evaluate(self._arguments, self._state, self._validation, start, stop)

        totals = self._in_pieces("validate", piece, self._program.measured_batches(self._validation))
        return self._owner.metrics(totals, "val_")

    def _in_pieces(self, name: str, piece: Callable[[int, int], Totals], batches: int) -> Totals:
        """All batches, in pieces so short that the reporter is asked in time."""
        total, start = NOTHING, 0
        pace, key = self._program.pace, (name, self._owner.spec.training.batch_size)
        while start < batches:
            size = max(1, int(_PATIENCE_S / pace[key])) if key in pace else 1
            stop = min(start + size, batches) if self._program.in_pieces else batches
            traces, began = self._program.traces, time.perf_counter()
            total = total + piece(start, stop)
            spent = time.perf_counter() - began
            if self._program.traces == traces:
                pace[key] = spent / (stop - start)
            self._owner.spend("train" if self._program.traces == traces else "compile", spent)
            self._owner.reporter.batch()
            start = stop
        return total


def _check_finite(metrics: Mapping[str, Any], where: str) -> None:
    for name, value in metrics.items():
        if not math.isfinite(float(value)):
            raise Diverged(
                f"{name} became {float(value)} in {where}: lower the learning rate or widen the quantizers"
            )


def _is_out_of_memory(error: Exception) -> bool:
    text = f"{type(error).__name__} {error}"
    return isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY)


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


# --- measuring -----------------------------------------------------------------------------------------------


def evaluate(path: Path, x: NDArray[Any], y: Any, wanted: Task | None = None) -> Mapping[str, float]:
    """`metric` and `loss` of a saved model on these examples; without a task those of a classifier."""
    model = keras.models.load_model(path)
    if wanted is None:
        wanted = classification(models.output(plain_network(model)))
    return _measured(wanted, evaluate_plainly(model, wanted, DeviceData.of(x, y)))


def _measured(wanted: Task, totals: Totals) -> dict[str, float]:
    value = metric_value(wanted, totals.tally, totals.examples)
    found = {"metric": value, "loss": totals.loss}
    _check_finite(found, "evaluation")
    return found
