"""Training and evaluation as programs that are traced once and then run trial after trial.

A program holds a model whose quantizers are switched (`quantization.switching.quantizer`), and takes everything else as
arguments: weights, state of the optimizer, moving statistics, random seeds, the quantizers chosen, the widths of
layers, data and the order of the examples. A trial of another assignment passes other arguments and traces nothing.

Weights are one flat vector, so that an optimizer step is a handful of operations. Widths that are searched are
dimensions left open in the traced graph: kernels look at shapes when they run, and no channel is computed in vain, as
with channels masked up to the widest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import keras
import numpy as np
from keras import ops

from quantization.quantizers import BaseQuantizer
from quantization.switching.quantizer import PARAMETERS, Choice, SwitchedSlots, choice_of, seed_type
from search.data.inputs import by_input
from search.task import Task
from search.training.evaluate import scores_of, tally_of
from search.training.losses import batch_loss, plain_targets, training_loss
from search.training.metrics import no_tally
from search.training.program.augmentation import augmented
from search.training.program.backend import compiled, value_and_gradients
from search.training.program.evaluation_size import examples_at_once
from search.training.program.options import PLAIN, StepOptions
from search.training.program.state import (
    Arguments,
    BatchSums,
    DeviceData,
    EvaluatedBatch,
    ProgramState,
    Totals,
    TrainedBatch,
)
from search.training.program.updates import Updates
from search.training.program.variables import (
    FlatVariables,
    OpenShapeScope,
    assign,
    flat_values,
    flatten,
    model_variables,
    moved_on,
    per_weight,
    quantizer_seeds,
)

Tensor = Any

#: Every layer learns at the same rate.
_EQUAL_RATES: Final[Mapping[str, float]] = MappingProxyType({})


class ModelCall(NamedTuple):
    """What a call of the model gives."""

    scores: Sequence[Tensor]  #: of each output
    penalties: list[Tensor]  #: of regularizers
    statistics: list[Tensor]  #: after the call
    integers: tuple[Tensor, ...]  #: after the call


class Program:
    """A model's training and evaluation, traced at the first use.

    `slots`: the model's switched quantizers. `shapes`: shape of each trainable variable and each statistic, None
    where a dimension varies from trial to trial; all fixed by default. `options`: of the training step.
    """

    #: Whether any number of batches can be run at a time; if not, it should be all.
    in_pieces = True

    def __init__(
        self,
        model: keras.Model,
        task: Task,
        optimizer: str,
        slots: SwitchedSlots | None = None,
        shapes: Sequence[tuple[int | None, ...]] | None = None,
        options: StepOptions = PLAIN,
    ) -> None:
        self._model, self._task, self._slots = model, task, dict(slots or {})
        self._options, self._updates = options, Updates(optimizer, options)
        variables = model_variables(model)
        shapes = list(shapes or [tuple(map(int, variable.shape)) for variable in variables.floats])
        count = len(variables.trainable)
        self._weights = FlatVariables(variables.trainable, shapes[:count], 0)
        self._statistics = FlatVariables(variables.statistics, shapes[count:], self._weights.end)
        generators = [switched.seed_generator for switched in self._slots.values()]
        seeds = [generator.state for generator in generators if generator is not None]
        self._integers = [*variables.integers, *(seeds if self._slots else quantizer_seeds(model))]
        self._evaluated_at_once = examples_at_once(model)
        self.traces = 0  #: how often something was traced
        #: (what is done, batch size) -> seconds per batch; kept for callers that run it in pieces.
        self.pace: dict[tuple[str, int], float] = {}
        self._train = compiled(self._train_batches)
        self._evaluate = compiled(self._evaluate_batches)

    # ---- a trial's arguments ----

    def arguments(
        self,
        model: keras.Model,
        rate: float,
        batch_size: int,
        shares: Mapping[str, float] = _EQUAL_RATES,
        seed: int = 0,
    ) -> Arguments:
        """The arguments for a plain model. ValueError for a quantizer without a branch.

        `shares`: layers that learn at this share of the rate; the others at the rate itself. `seed`: of augmentation.
        """
        choices = [
            (switched, _choice_of(model.get_layer(layer), slot, switched.function))
            for (layer, slot), switched in self._slots.items()
        ]
        indices = [switched.index(choice) for switched, choice in choices]
        parameters = np.array([choice.parameters for _, choice in choices], np.float32)
        sizes = [int(size) for variable in model_variables(model).floats for size in variable.shape]
        return Arguments(
            choices=ops.convert_to_tensor(np.array(indices, np.int32)),
            parameters=ops.convert_to_tensor(parameters.reshape(-1, PARAMETERS)),
            dimensions=ops.convert_to_tensor(np.array(sizes, np.int32)),
            rate=ops.convert_to_tensor(np.float32(rate) * per_weight(model, shares)),
            batch_size=ops.convert_to_tensor(np.int32(batch_size)),
            seed=ops.convert_to_tensor(np.int32(seed)),
            pressure=ops.zeros((0,), "float32"),
        )

    def state(self, model: keras.Model) -> ProgramState:
        """The state of a plain model that has not been trained yet."""
        variables = model_variables(model)
        weights = flat_values(variables.trainable)
        return ProgramState(
            weights=weights,
            moments=self._updates.first_moments(weights),
            scalar=ops.convert_to_tensor(np.float32(1)),
            steps=ops.convert_to_tensor(np.int32(0)),
            statistics=flat_values(variables.statistics),
            integers=tuple(
                ops.zeros((2,), seed_type()) if variable is None else variable.value * 1
                for variable in self._integers_of(model)
            ),
        )

    def continued(self, state: ProgramState, model: keras.Model, optimizer: Any) -> ProgramState:
        """A new state, with the numbers of a model trained earlier and of its optimizer.

        Keras saves no random states, nor does `store` write counts of steps: they are moved on from the new state's.
        """
        variables = model_variables(model)
        steps = int(optimizer.iterations)
        weights, moments = self._updates.read(optimizer, flat_values(variables.trainable), flatten)
        return ProgramState(
            weights=weights,
            moments=moments,
            scalar=self._updates.scalar(optimizer, state.scalar),
            steps=ops.convert_to_tensor(np.int32(steps)),
            statistics=flat_values(variables.statistics),
            integers=tuple(moved_on(integers, steps) for integers in state.integers),
        )

    def _integers_of(self, model: keras.Model) -> list[Any]:
        """The plain model's variables, None where a switched quantizer may draw and the plain one does not."""
        integers = list(model_variables(model).integers)
        if not self._slots:
            return integers + quantizer_seeds(model)
        for (layer, slot), switched in self._slots.items():
            if switched.seed_generator is not None:
                plain = model.get_layer(layer).quantizer(slot)
                generator = None if plain is None else plain.seed_generator
                integers.append(None if generator is None else generator.state)
        return integers

    def store(self, state: ProgramState, model: keras.Model, optimizer: Any = None) -> None:
        """Write a state into a plain model of the trial, and into its optimizer, which must be built."""
        variables = model_variables(model)
        assign(variables.trainable, self._updates.evaluated(state.weights, state.moments))
        assign(variables.statistics, state.statistics)
        if optimizer is None:
            return
        self._updates.write(optimizer, state.weights, state.moments, state.scalar, assign)
        optimizer.iterations.assign(int(state.steps))

    # ---- running ----

    @property
    def evaluated_at_once(self) -> int:
        """Examples of a batch that it evaluates."""
        return self._evaluated_at_once

    def evaluation_batches(self, data: DeviceData) -> int:
        """In how many batches it evaluates these examples."""
        return -(-len(data) // self._evaluated_at_once)

    def train(
        self,
        arguments: Arguments,
        state: ProgramState,
        data: DeviceData,
        order: Tensor,
        start: int,
        stop: int,
    ) -> tuple[ProgramState, Totals]:
        """Train on batches `start` to `stop` of the examples in `order`; ends at a loss that is not finite."""
        state, sums, batch = self._train(
            arguments, state, data.x, data.y, order, np.int32(start), np.int32(stop)
        )
        return state, Totals.from_sums(sums, int(batch) - start)

    def evaluate(
        self,
        arguments: Arguments,
        state: ProgramState,
        data: DeviceData,
        start: int = 0,
        stop: int | None = None,
    ) -> Totals:
        """Loss and metric of a state on the batches `start` to `stop`; there are `evaluation_batches` of them."""
        stop = self.evaluation_batches(data) if stop is None else stop
        sums = self._evaluate(arguments, state, data.x, data.y, np.int32(start), np.int32(stop))
        return Totals.from_sums(sums, stop - start)

    # ---- what is traced ----

    def _train_batches(
        self,
        arguments: Arguments,
        state: ProgramState,
        x: Tensor,
        y: Any,
        order: Tensor,
        start: Tensor,
        stop: Tensor,
    ) -> tuple[ProgramState, BatchSums, Tensor]:
        self.traces += 1
        size = arguments.batch_size

        def unfinished(state: ProgramState, sums: BatchSums, batch: Tensor) -> Tensor:
            return ops.logical_and(batch < stop, ops.isfinite(sums.loss))

        def step(state: ProgramState, sums: BatchSums, batch: Tensor) -> Any:
            indices = _batch(order, batch, size)
            examples, targets = keras.tree.map_structure(lambda part: ops.take(part, indices, axis=0), (x, y))
            trained = self.train_batch(arguments, state, examples, targets)
            sums = sums.plus(trained.loss, trained.tally, ops.shape(indices)[0])
            return trained.state, sums, batch + 1

        result: tuple[ProgramState, BatchSums, Tensor] = ops.while_loop(
            unfinished, step, (state, self._no_sums(), start)
        )
        return result

    def train_batch(self, arguments: Arguments, state: ProgramState, x: Tensor, y: Any) -> TrainedBatch:
        """Train on one batch. A pure function of tensors.

        `x`, `y`: examples and targets, tuples where there are several inputs or outputs.
        """
        if self._options.augmentation:
            x, y = augmented(self._options.augmentation, x, y, arguments.seed, state.steps)
        parts = self._weights.split(state.weights, arguments.dimensions)
        statistics = self._statistics.split(state.statistics, arguments.dimensions)

        def loss_of(parts: Sequence[Tensor]) -> tuple[Tensor, ModelCall]:
            call = self._call(arguments, parts, statistics, state.integers, x, training=True)
            return _penalized(training_loss(self._task, y, call.scores, self._options), call), call

        loss, call, gradients = value_and_gradients(loss_of, parts)
        updated = self._updates.step(
            state.weights, flatten(gradients), state.moments, state.scalar, state.steps, arguments.rate
        )
        constrained = self._constrained(updated.weights, arguments.dimensions)
        updated = self._updates.averaged(updated._replace(weights=constrained), state.steps)
        after = ProgramState(
            weights=updated.weights,
            moments=updated.moments,
            scalar=updated.scalar,
            steps=state.steps + 1,
            statistics=flatten(call.statistics),
            integers=call.integers,
        )
        return TrainedBatch(loss, tally_of(self._task, plain_targets(y), call.scores), after)

    def _constrained(self, weights: Tensor, dimensions: Tensor) -> Tensor:
        variables = self._weights.variables
        if all(variable.constraint is None for variable in variables):
            return weights
        parts = self._weights.split(weights, dimensions)
        return flatten(
            [
                part if variable.constraint is None else variable.constraint(part)
                for variable, part in zip(variables, parts, strict=True)
            ]
        )

    def _evaluate_batches(
        self, arguments: Arguments, state: ProgramState, x: Tensor, y: Any, start: Tensor, stop: Tensor
    ) -> BatchSums:
        self.traces += 1
        size = self._evaluated_at_once

        def unfinished(integers: tuple[Tensor, ...], sums: BatchSums, batch: Tensor) -> Tensor:
            return batch < stop

        def step(integers: tuple[Tensor, ...], sums: BatchSums, batch: Tensor) -> Any:
            inputs, targets = keras.tree.map_structure(lambda part: _batch(part, batch, size), (x, y))
            evaluated = self.evaluate_batch(arguments, state._replace(integers=integers), inputs, targets)
            sums = sums.plus(evaluated.loss, evaluated.tally, ops.shape(by_input(inputs)[0])[0])
            return evaluated.integers, sums, batch + 1

        _, sums, _ = ops.while_loop(unfinished, step, (state.integers, self._no_sums(), start))
        return sums  # type: ignore[no-any-return]

    def evaluate_batch(self, arguments: Arguments, state: ProgramState, x: Tensor, y: Any) -> EvaluatedBatch:
        """Loss and metric of one batch. A pure function of tensors."""
        weights = self._updates.evaluated(state.weights, state.moments)
        parts = self._weights.split(weights, arguments.dimensions)
        statistics = self._statistics.split(state.statistics, arguments.dimensions)
        call = self._call(arguments, parts, statistics, state.integers, x, training=False)
        loss = _penalized(batch_loss(self._task, y, call.scores), call)
        return EvaluatedBatch(loss, tally_of(self._task, y, call.scores), call.integers)

    def _no_sums(self) -> BatchSums:
        return BatchSums(
            loss=ops.convert_to_tensor(np.float32(0)),
            tally=no_tally(self._task),
            examples=ops.convert_to_tensor(np.int32(0)),
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
        """A call of the model with these values in its variables."""
        values = [
            *zip(self._weights.variables, parts, strict=True),
            *zip(self._statistics.variables, statistics, strict=True),
            *(
                (variable, ops.reshape(value, variable.shape))
                for variable, value in zip(self._integers, integers, strict=True)
            ),
            *self._chosen(arguments),
        ]
        with OpenShapeScope(values) as scope:
            scores = scores_of(self._model.call(x, training=training))
            penalties = list(self._model.losses)
        return ModelCall(
            scores,
            penalties,
            [scope.get_current_value(variable) for variable in self._statistics.variables],
            tuple(scope.get_current_value(variable) for variable in self._integers),
        )

    def _chosen(self, arguments: Arguments) -> list[tuple[Any, Tensor]]:
        """The variables of switched quantizers with their values."""
        count = len(self._slots)
        if not count:
            return []
        choices, parameters = ops.unstack(arguments.choices, count), ops.unstack(arguments.parameters, count)
        pairs = zip(self._slots.values(), choices, parameters, strict=True)
        return [
            pair
            for switched, choice, numbers in pairs
            for pair in ((switched.choice, choice), (switched.parameters, numbers))
        ]


# --- details -------------------------------------------------------------------------------------------------


def _penalized(loss: Tensor, call: ModelCall) -> Tensor:
    for penalty in call.penalties:
        loss = loss + penalty
    return loss


def _batch(x: Tensor, batch: Tensor, size: Any) -> Tensor:
    """The elements of a batch by its number; the last one may have fewer."""
    start = batch * size
    return x[start : start + size]


def _choice_of(layer: Any, slot: str, function: Any) -> Choice:
    plain: BaseQuantizer[Any] | None = layer.quantizer(slot)
    return choice_of(None if plain is None else plain.spec, slot, function, layer.channel_axes(slot))
