"""Training and evaluation as programs that are traced once and then run trial after trial.

A program holds a model whose quantizers are switched (`quantization.switching.quantizer`), and takes everything else as
arguments: weights, state of the optimizer, moving statistics, random seeds, the quantizers chosen, the widths of
layers, data and the order of the examples. A trial of another assignment passes other arguments and traces nothing.

Weights are one flat vector, so that an optimizer step is a handful of operations. Widths that are searched are
dimensions left open in the traced graph: kernels look at shapes when they run, and nothing is computed in vain, as
it would be with channels masked up to the widest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from quantization.quantizers import BaseQuantizer
from quantization.switching.quantizer import Choice, Slots, choice_of, seed_type
from search.task import Task
from search.training.evaluate import scores_of, tally_of
from search.training.losses import batch_loss
from search.training.metrics import no_tally
from search.training.program.backend import compiled, some_of, taken, with_gradients
from search.training.program.optimizers import UPDATES, Update
from search.training.program.state import Arguments, DeviceData, State, Totals
from search.training.program.variables import Scope, Vector, assign, quantizer_seeds, variables_of

Tensor = Any

#: A program measures as many examples at once as make a largest activation of so many numbers, within these bounds:
#: it should fit into the processor's cache.
_MEASURED_NUMBERS: Final = 2**18
_MEASURED_EXAMPLES: Final = (1024, 8192)

#: No layer learns at a rate of its own.
_ALL_ALIKE: Final[Mapping[str, float]] = MappingProxyType({})

#: More random draws than one quantizer or layer makes in a step.
_DRAWS_PER_STEP: Final = 128


class Program:
    """A model's training and evaluation, traced at the first use.

    `slots`: the model's switched quantizers. `shapes`: shape of each trainable variable and each statistic, None
    where a dimension varies from trial to trial; all fixed by default.
    """

    #: Whether any number of batches can be run at a time; if not, it should be all.
    in_pieces = True

    def __init__(
        self,
        model: keras.Model,
        task: Task,
        optimizer: str,
        slots: Slots | None = None,
        shapes: Sequence[tuple[int | None, ...]] | None = None,
    ) -> None:
        self._model, self._task, self._slots = model, task, dict(slots or {})
        self._update: Update = UPDATES[optimizer]
        found = variables_of(model)
        floats = [*found["trainable"], *found["statistics"]]
        fixed = [tuple(int(size) for size in each.shape) for each in floats]
        shapes = list(shapes or fixed)
        count = len(found["trainable"])
        self._weights = Vector(floats[:count], shapes[:count], 0)
        self._statistics = Vector(floats[count:], shapes[count:], self._weights.end)
        seeds = [
            each.seed_generator.state for each in self._slots.values() if each.seed_generator is not None
        ]
        if not self._slots:
            seeds = quantizer_seeds(model)
        self._others = [*found["others"], *seeds]
        self._examples = _measured_at_once(model)
        self.traces = 0  #: how often something was traced
        #: By what is done and batch size, seconds that a batch took; for those who run it in pieces.
        self.pace: dict[tuple[str, int], float] = {}
        self._train = compiled(self._train_batches)
        self._measure = compiled(self._measure_batches)

    # ---- a trial's arguments ----

    def arguments(
        self,
        model: keras.Model,
        rate: float,
        batch_size: int,
        shares: Mapping[str, float] = _ALL_ALIKE,
    ) -> Arguments:
        """The arguments for a plain model. ValueError for a quantizer without a branch.

        `shares`: layers that learn at this share of the rate; the others at the rate itself.
        """
        rows = [
            (quantizer.index(chosen), chosen.parameters)
            for (layer, slot), quantizer in self._slots.items()
            for chosen in [_chosen(model.get_layer(layer), slot, quantizer.function)]
        ]
        found = variables_of(model)
        dimensions = [
            int(size) for each in (*found["trainable"], *found["statistics"]) for size in each.shape
        ]
        return Arguments(
            choices=ops.convert_to_tensor(np.array([row[0] for row in rows], np.int32)),
            parameters=ops.convert_to_tensor(np.array([row[1] for row in rows], np.float32).reshape(-1, 6)),
            dimensions=ops.convert_to_tensor(np.array(dimensions, np.int32)),
            rate=ops.convert_to_tensor(np.float32(rate) * _shares(model, shares)),
            batch_size=ops.convert_to_tensor(np.int32(batch_size)),
        )

    def state(self, model: keras.Model) -> State:
        """The state of a plain model that has not been trained yet."""
        found = variables_of(model)
        weights = Vector.flat([each.value for each in found["trainable"]])
        return State(
            weights=weights,
            moments=tuple(ops.zeros_like(weights) for _ in self._update.moments),
            scalar=ops.convert_to_tensor(np.float32(1)),
            count=ops.convert_to_tensor(np.int32(0)),
            statistics=Vector.flat([each.value for each in found["statistics"]]),
            others=tuple(
                ops.zeros((2,), seed_type()) if each is None else each.value * 1
                for each in self._others_of(model)
            ),
        )

    def continued(self, state: State, model: keras.Model, optimizer: Any) -> State:
        """A new state, with the numbers of a model trained earlier and of its optimizer.

        Keras saves no random states: they go on from the new ones, where an earlier step has not drawn.
        """
        found = variables_of(model)
        steps = int(optimizer.iterations)
        scalar = None if self._update.scalar is None else getattr(optimizer, self._update.scalar).value
        return State(
            weights=Vector.flat([each.value for each in found["trainable"]]),
            moments=tuple(Vector.flat(getattr(optimizer, name)) for name in self._update.moments),
            scalar=state.scalar if scalar is None else scalar * 1,
            count=ops.convert_to_tensor(np.int32(steps)),
            statistics=Vector.flat([each.value for each in found["statistics"]]),
            others=tuple(
                each + ops.convert_to_tensor(np.array([0, _DRAWS_PER_STEP * steps]), each.dtype)
                for each in state.others
            ),
        )

    def _others_of(self, model: keras.Model) -> list[Any]:
        """The plain model's random states, None where a switched quantizer may draw and the plain one does not."""
        others = list(variables_of(model)["others"])
        if not self._slots:
            return others + quantizer_seeds(model)
        for (layer, slot), switched in self._slots.items():
            if switched.seed_generator is not None:
                plain = model.get_layer(layer).quantizer(slot)
                own = None if plain is None else plain.seed_generator
                others.append(None if own is None else own.state)
        return others

    def store(self, state: State, model: keras.Model, optimizer: Any = None) -> None:
        """Write a state into a plain model of the trial, and into its optimizer, which must be built."""
        found = variables_of(model)
        assign(found["trainable"], state.weights)
        assign(found["statistics"], state.statistics)
        if optimizer is None:
            return
        for name, moment in zip(self._update.moments, state.moments, strict=True):
            assign(getattr(optimizer, name), moment)
        if self._update.scalar is not None:
            getattr(optimizer, self._update.scalar).assign(state.scalar)
        optimizer.iterations.assign(int(state.count))

    # ---- running ----

    def measured_batches(self, data: DeviceData) -> int:
        """In how many batches it measures these examples."""
        return -(-len(data) // self._examples)

    def train(
        self, trial: Arguments, state: State, data: DeviceData, order: Tensor, start: int, stop: int
    ) -> tuple[State, Totals]:
        """Train on batches `start` to `stop` of the examples in `order`; ends at a loss that is not finite."""
        *tensors, loss, tally, seen, batch = self._train(
            trial.tensors(), state.tensors(), data.x, data.y, order, np.int32(start), np.int32(stop)
        )
        return state.with_tensors(tensors), Totals(
            float(loss), ops.convert_to_numpy(tally), int(seen), int(batch) - start
        )

    def evaluate(
        self, trial: Arguments, state: State, data: DeviceData, start: int = 0, stop: int | None = None
    ) -> Totals:
        """Loss and metric of a state on the batches `start` to `stop`; there are `measured_batches` of them."""
        stop = self.measured_batches(data) if stop is None else stop
        loss, tally = self._measure(
            trial.tensors(), state.tensors(), data.x, data.y, np.int32(start), np.int32(stop)
        )
        examples = min(stop * self._examples, len(data)) - start * self._examples
        return Totals(float(loss), ops.convert_to_numpy(tally), examples, stop - start)

    # ---- what is traced ----

    def _train_batches(
        self, trial: Any, tensors: Any, x: Tensor, y: Any, order: Tensor, start: Tensor, stop: Tensor
    ) -> Any:
        self.traces += 1
        size, scheme = trial[4], self.scheme()
        zero = ops.convert_to_tensor(np.float32(0))
        none = ops.convert_to_tensor(np.int32(0))

        def unfinished(batch: Tensor, loss: Tensor, *_: Tensor) -> Tensor:
            return ops.logical_and(batch < stop, ops.isfinite(loss))

        def step(batch: Tensor, loss: Tensor, tally: Tensor, seen: Tensor, *tensors: Tensor) -> Any:
            places = some_of(order, batch * size, size)
            targets = keras.tree.map_structure(lambda each: taken(each, places), y)
            found, state, got = self.step(trial, scheme.with_tensors(tensors), taken(x, places), targets)
            count = ops.shape(places)[0]
            loss = loss + found * ops.cast(count, "float32")
            return (batch + 1, loss, tally + got, seen + count, *state.tensors())

        batch, loss, tally, seen, *after = ops.while_loop(
            unfinished, step, (start, zero, no_tally(self._task), none, *tensors)
        )
        return (*after, loss, tally, seen, batch)

    def step(self, trial: Any, state: State, x: Tensor, y: Any) -> tuple[Tensor, State, Tensor]:
        """Train on one batch: loss, the state after it, and the metric's sums. A pure function of tensors.

        `trial`: the tensors of `Arguments`. `y`: targets, in a tuple where the model has several outputs.
        """
        parts = self._weights.parts(state.weights, trial[2])
        statistics = self._statistics.parts(state.statistics, trial[2])

        def loss_of(parts: Sequence[Tensor]) -> Any:
            scores, penalties, moved, others = self._call(trial, parts, statistics, state.others, x, True)
            loss = batch_loss(self._task, y, scores)
            for penalty in penalties:
                loss = loss + penalty
            return loss, (scores, moved, others)

        loss, (scores, moved, others), gradients = with_gradients(loss_of, parts)
        weights, moments, scalar = self._update.step(
            state.weights, Vector.flat(gradients), state.moments, state.scalar, state.count, trial[3]
        )
        after = State(
            weights=self._constrained(weights, trial[2]),
            moments=moments,
            scalar=scalar,
            count=state.count + 1,
            statistics=Vector.flat(moved),
            others=tuple(others),
        )
        return loss, after, tally_of(self._task, y, scores)

    def _constrained(self, weights: Tensor, dimensions: Tensor) -> Tensor:
        variables = self._weights.variables
        if all(variable.constraint is None for variable in variables):
            return weights
        parts = self._weights.parts(weights, dimensions)
        return Vector.flat(
            [
                part if variable.constraint is None else variable.constraint(part)
                for variable, part in zip(variables, parts, strict=True)
            ]
        )

    def measured(self, trial: Any, state: State, x: Tensor, y: Any) -> tuple[Tensor, Tensor, Any]:
        """Loss of one batch, the metric's sums, and the seeds after it. A pure function of tensors."""
        parts = self._weights.parts(state.weights, trial[2])
        statistics = self._statistics.parts(state.statistics, trial[2])
        scores, penalties, _, others = self._call(trial, parts, statistics, state.others, x, False)
        loss = batch_loss(self._task, y, scores)
        for penalty in penalties:
            loss = loss + penalty
        return loss, tally_of(self._task, y, scores), others

    def _measure_batches(
        self, trial: Any, tensors: Any, x: Tensor, y: Any, start: Tensor, stop: Tensor
    ) -> Any:
        self.traces += 1
        state, size = self.scheme().with_tensors(tensors), self._examples

        def unfinished(batch: Tensor, *_: Tensor) -> Tensor:
            return batch < stop

        def step(batch: Tensor, loss: Tensor, tally: Tensor, *others: Tensor) -> Any:
            inputs = some_of(x, batch * size, size)
            targets = keras.tree.map_structure(lambda each: some_of(each, batch * size, size), y)
            found, got, after = self.measured(trial, replace(state, others=others), inputs, targets)
            loss = loss + found * ops.cast(ops.shape(inputs)[0], "float32")
            return (batch + 1, loss, tally + got, *after)

        zero = ops.convert_to_tensor(np.float32(0))
        _, loss, tally, *_ = ops.while_loop(
            unfinished, step, (start, zero, no_tally(self._task), *state.others)
        )
        return loss, tally

    def _call(
        self, trial: Any, parts: Any, statistics: Any, others: Any, x: Tensor, training: bool
    ) -> tuple[Sequence[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Scores of each output, penalties, statistics and seeds after a call of the model with these values in its
        variables.
        """
        switches = self._slots.values()
        choices, parameters = (
            ops.unstack(each, len(self._slots)) if self._slots else () for each in (trial[0], trial[1])
        )
        mapping = [
            *zip(self._weights.variables, parts, strict=True),
            *zip(self._statistics.variables, statistics, strict=True),
            *(
                (each, ops.reshape(value, each.shape))
                for each, value in zip(self._others, others, strict=True)
            ),
            *((each.choice, choice) for each, choice in zip(switches, choices, strict=True)),
            *((each.parameters, numbers) for each, numbers in zip(switches, parameters, strict=True)),
        ]
        with Scope(mapping) as scope:
            scores = scores_of(self._model.call(x, training=training))
            penalties = list(self._model.losses)
        moved = [scope.get_current_value(each) for each in self._statistics.variables]
        return scores, penalties, moved, [scope.get_current_value(each) for each in self._others]

    def scheme(self) -> State:
        """A state with the right number of parts."""
        return State(None, (None,) * len(self._update.moments), None, None, None, (None,) * len(self._others))


# --- details -------------------------------------------------------------------------------------------------


def _measured_at_once(model: keras.Model) -> int:
    """How many examples; sizes that a model leaves open count as 1."""
    tensors = [tensor for layer in model.layers for tensor in keras.tree.flatten(layer.output)]
    largest: int = max(math.prod(size or 1 for size in tensor.shape[1:]) for tensor in tensors)
    least, most = _MEASURED_EXAMPLES
    return min(max(_MEASURED_NUMBERS // largest, least), most)


def _chosen(layer: Any, slot: str, function: Any) -> Choice:
    plain: BaseQuantizer[Any] | None = layer.quantizer(slot)
    return choice_of(None if plain is None else plain.spec, slot, function)


def _shares(model: keras.Model, shares: Mapping[str, float]) -> NDArray[np.float32]:
    """The share of the learning rate of every trainable number, in the order of a state's weights."""
    own = {
        variable.path: share
        for name, share in shares.items()
        for variable in model.get_layer(name).trainable_variables
    }
    parts = [
        np.full(int(np.prod(each.shape)), own.get(each.path, 1.0), np.float32)
        for each in variables_of(model)["trainable"]
    ]
    return np.concatenate(parts)
