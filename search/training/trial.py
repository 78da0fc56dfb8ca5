"""One trial: build, train, evaluate, save. Knows no database; a `Reporter` receives its progress."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np

import quantization.layers  # noqa: F401 -- Keras finds the quantized layers of a saved model by their names
from quantization.export.codes import weight_codes
from quantization.models.convert import caching_weights, plain_description, read_quantizers
from quantization.models.fold import fold, folded_layers
from search.data import Dataset
from search.data.inputs import rows
from search.data.weights import example_weights
from search.errors import OutOfMemory
from search.history import Assignment, Cost, Execution, Measurement
from search.networks.architecture import architecture
from search.plan import Plan
from search.process import collect_sometimes, freeze_imports
from search.scoring.forgiving_factor import factor_of
from search.spec.cost import options_document
from search.training.artifacts import save
from search.training.build import assemble, compile_model, rate_of, trial_description
from search.training.epochs import Stopwatch, Trained, TrainingRun, train_epochs, untrained_metric
from search.training.evaluate import evaluate_model, scores_of_file
from search.training.program.cache import ProgramSpec, on_device, program_for, training_part
from search.training.program.options import PLAIN, StepOptions, step_options
from search.training.program.program import Program
from search.training.program.state import DeviceData, ProgramState
from search.training.program.variables import unpruned
from search.training.request import FLOAT, Reporter, TrainingRequest, UntrainedCheck
from search.training.trained_bits import BitTraining, load_state, save_state
from search.training.warm_start import CALIBRATION_EXAMPLES, adopt_weights, calibrate, is_alike
from search.trial_files import BITS_FILE

STEPS: Final = ("build", "compile", "train", "evaluate", "save")

#: float32, and two moments of an optimizer.
_BYTES_A_WEIGHT: Final = 12

#: Raised by TensorFlow (by name: it is not imported here) and by JAX when memory runs out.
_OUT_OF_MEMORY: Final = ("ResourceExhaustedError", "RESOURCE_EXHAUSTED", "OOM when allocating")


def run_trial(
    plan: Plan,
    request: TrainingRequest,
    data: Dataset,
    reporter: Reporter,
    folder: Path,
    *,
    on_untrained: UntrainedCheck | None = None,
) -> Measurement:
    """Train an assignment and measure it on the validation data, with the weights of its best epoch.

    Examples are shuffled by the seed and the number of the epoch, so that continuing is like not having stopped (but
    for the random draws of layers, whose state Keras does not save).

    With several executions in the job this is done that many times, from other seeds; the epochs of the later ones are
    numbered after those of the earlier, metric and loss are means, and the model is that of the best one.
    `on_untrained` is called in the first.

    Writes the trained model, its quantizers, its integer weights and how its inputs were scaled into `folder`. The
    metric is measured with the saved model's own layers, so another process gets it, too. Raises `Diverged` when a
    loss or metric is not finite, `Infeasible` when no network can be built, `OutOfMemory` when memory runs out,
    ValueError when there is no epoch to train, and whatever `reporter` and `on_untrained` raise.
    """
    training = plan.spec.training
    epochs = range(request.initial_epoch, training.epochs if request.epochs is None else request.epochs)
    if epochs.start < 0 or not epochs:
        raise ValueError(f"no epoch to train from {epochs.start} to {epochs.stop}")
    freeze_imports()
    trial = _Trial(plan, request, epochs, data, reporter)
    try:
        return trial.run(folder, on_untrained)
    except Exception as error:
        if _is_out_of_memory(error):
            raise OutOfMemory(
                f"out of memory with batches of {training.batch_size}: {_line(error)}"
            ) from error
        raise
    finally:
        collect_sometimes(trial.model_bytes)


def execution_seeds(seed: int, count: int) -> list[int]:
    """The seeds of a trial's executions: its own, and others that follow from it."""
    later = [int(np.random.SeedSequence([seed, index]).generate_state(1)[0]) for index in range(1, count)]
    return [seed, *(state % (2**31 - 1) for state in later)]


def program_spec(plan: Plan, config: Mapping[str, Any], options: StepOptions = PLAIN) -> ProgramSpec:
    """What the programs of a job's trials have in common. `config`: the float network as Keras writes it."""
    candidates: dict[str, dict[str, tuple[Any, ...]]] = {}
    for slot in plan.choices.slots:
        for layer in slot.layers:
            candidates.setdefault(layer, {})[slot.slot] = slot.candidates
    return ProgramSpec(
        architecture=config,
        task=plan.task,
        optimizer=plan.spec.training.optimizer,
        candidates=candidates,
        tuned=tuple(name for width in plan.choices.widths for name in width.layers),
        options=options,
    )


class _Trial:
    """The executions of one trial and the seconds that each of their steps took."""

    def __init__(
        self, plan: Plan, request: TrainingRequest, epochs: range, data: Dataset, reporter: Reporter
    ) -> None:
        self.model_bytes = 0  #: of its models and their optimizers
        self._plan, self._request, self._epochs = plan, request, epochs
        self._data, self._reporter = data, reporter
        config = architecture(plan.job.model)
        self._config = config if request.assignment == FLOAT else trial_description(plan.spec, config)
        self._stopwatch = Stopwatch(STEPS)
        weighted = data.train_weights is not None or plan.spec.training.class_weight is not None
        self._options = step_options(plan, weighted=weighted, teacher=request.teacher is not None)
        self._bits: BitTraining | None = None
        if request.penalty is not None:
            self._bits = BitTraining(plan, request.assignment, request.penalty)
        self._assignment = request.assignment  #: what is measured
        self._last: ProgramState | None = None
        self._weights = ExitStack()  # of trained models, quantized once to be measured and saved

    def run(self, folder: Path, on_untrained: UntrainedCheck | None) -> Measurement:
        cost = self._plan.pricer.price(self._request.assignment)  # first: it may be Infeasible, and is cheap
        with self._weights:
            return self._run(cost, folder, on_untrained)

    def _run(self, cost: Cost, folder: Path, on_untrained: UntrainedCheck | None) -> Measurement:
        first, *others = execution_seeds(self._request.seed, self._plan.spec.training.executions)
        trained = [self._execute(first, 0, on_untrained)]
        for index, seed in enumerate(others, start=1):
            trained.append(self._execute(seed, index * len(self._epochs), None))
        factor = factor_of(self._plan.spec)
        best, model, classes = max(trained, key=lambda one: factor.merit(one[0].metric))
        with self._stopwatch.timing("save"):
            save(model, self._data, folder, self._cost_options())
            if self._bits is not None and self._last is not None:
                save_state(self._last, folder / BITS_FILE)
        executions = tuple(execution for execution, _, _ in trained)
        if self._bits is not None:
            cost = self._plan.pricer.price(self._assignment)
        cost, effective = self._plan.pricer.effective(self._assignment, weight_codes(model), cost)
        return Measurement(
            metric=statistics.fmean(execution.metric for execution in executions),
            loss=statistics.fmean(execution.loss for execution in executions),
            cost=cost,
            durations_s=self._stopwatch.seconds,
            best_epoch=best.best_epoch,
            executions=executions if len(executions) > 1 else (),
            classes=classes,
            effective=effective,
            assignment=None if self._bits is None else self._assignment,
        )

    def _cost_options(self) -> dict[str, Any]:
        """How the trial is priced; with the network of the reference where widths differ from it."""
        assignment = self._assignment
        return options_document(
            self._plan.spec.goal,
            quantized_inputs=any(assignment.quantizers.get(name) for name in self._plan.network.inputs),
            reference=plain_description(self._config) if assignment.widths else None,
        )

    def _execute(
        self, seed: int, reported_before: int, on_untrained: UntrainedCheck | None
    ) -> tuple[Execution, keras.Model, Mapping[str, Any] | None]:
        """One training, its model with the weights of its best epoch, and what that gets right by class."""
        with self._stopwatch.timing("build"):
            model = self._compiled(self._request.assignment, seed)
        self.model_bytes += _BYTES_A_WEIGHT * model.count_params()
        with self._stopwatch.timing("compile"):
            run, state = self._training_run(model, seed)
        if on_untrained is not None:
            on_untrained(untrained_metric(run, state))
        best = train_epochs(run, state, self._epochs, reported_before)
        with self._stopwatch.timing("evaluate"):
            model = self._finished(model, run, best, seed)
            self._weights.enter_context(caching_weights(model))
            result = evaluate_model(model, self._plan.task, run.validation)
        execution = Execution(seed, result["metric"], result["loss"], reported_before + best.epoch)
        return execution, model, result.get("classes")

    def _compiled(self, assignment: Assignment, seed: int) -> keras.Model:
        model = assemble(assignment, self._config, seed)
        training, options = self._plan.spec.training, self._options
        compile_model(model, training, self._plan.task, assignment.learning_rate, options)
        return model

    def _finished(self, model: keras.Model, run: TrainingRun, best: Trained, seed: int) -> keras.Model:
        """The model with its best state; where bits were trained, that of the assignment that they became."""
        learned = None
        if self._bits is not None:
            learned = self._bits.learned(run.program, best.state)
            self._assignment, self._last = learned.assignment, best.last
            model = self._compiled(learned.assignment, seed)
        model.optimizer.build(model.trainable_variables)
        run.program.store(best.state, model, model.optimizer)
        if learned is not None:
            learned.write(model)
        return model

    def _training_run(self, model: keras.Model, seed: int) -> tuple[TrainingRun, ProgramState]:
        """The run of a compiled model, and the state that it starts from."""
        assignment, training = self._request.assignment, self._plan.spec.training
        spec, bits = program_spec(self._plan, self._config, self._options), self._bits
        program = program_for(spec, assignment) if bits is None else bits.program(spec)
        state = self._first_state(program, model)
        rate = rate_of(training, assignment.learning_rate)
        arguments = program.arguments(model, rate, training.batch_size, self._request.rate_shares, seed)
        if (
            training.sparsity == "keep" and self._request.start_from is not None
        ):  # a weight that learns at a rate of 0 stays what it is
            program.store(state, model)
            arguments = arguments._replace(rate=arguments.rate * unpruned(model))
        run = TrainingRun(
            plan=self._plan,
            program=program,
            arguments=arguments,
            train=self._training_part(),
            validation=on_device(self._data, "validation"),
            seed=seed,
            reporter=self._reporter,
            stopwatch=self._stopwatch,
            arguments_at=None if bits is None else partial(bits.arguments, program),
        )
        return run, state

    def _training_part(self) -> DeviceData:
        stated, teacher = self._plan.spec.training.class_weight, self._request.teacher
        return training_part(
            self._data,
            f"{stated} {self._plan.task} {teacher}",
            lambda: example_weights(self._data, self._plan.task, stated),
            lambda: () if teacher is None else scores_of_file(teacher, self._data.x_train),
        )

    def _first_state(self, program: Program, model: keras.Model) -> ProgramState:
        """Of a new model; of an earlier one of this assignment its whole state, of another one the weights that fit."""
        if self._request.start_bits is not None:
            return load_state(self._request.start_bits, program.state(model))
        if self._request.start_from is None:
            return program.state(model)
        earlier = keras.models.load_model(self._request.start_from)
        if is_alike(earlier, model) and self._bits is None:
            return program.continued(program.state(model), earlier, earlier.optimizer)
        if folded_layers(model) and not folded_layers(earlier):
            earlier = fold(earlier)
        adopt_weights(earlier, model)
        if self._plan.spec.training.start == "calibrated" and not read_quantizers(earlier):
            calibrate(model, rows(self._data.x_train, 0, CALIBRATION_EXAMPLES))
        return program.state(model)


def _is_out_of_memory(error: Exception) -> bool:
    text = f"{type(error).__name__} {error}"
    return isinstance(error, MemoryError) or any(sign in text for sign in _OUT_OF_MEMORY)


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
