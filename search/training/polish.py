"""Lowers bits of a trained network tensor by tensor while its metric holds. Nothing is trained.

Greedy: of all choices of a quantizer the one whose next candidate saves most of the exact cost is tried first; a
candidate that the metric does not hold with is not tried again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

import quantization.layers  # noqa: F401 -- Keras finds the quantized layers of a saved model by their names
from quantization.export.codes import weight_codes
from quantization.models.convert import caching_weights, plain_description
from quantization.specs.parse import QuantizerSpec
from search.data import Dataset
from search.errors import Diverged, Infeasible
from search.history import Assignment, Cost, Measurement
from search.networks.architecture import architecture
from search.plan import Plan
from search.scoring.forgiving_factor import factor_of
from search.space.choices import Slot
from search.spec.cost import options_document
from search.spec.objective import MINIMIZE
from search.training.artifacts import save
from search.training.build import assemble, compile_model, trial_description
from search.training.epochs import Stopwatch
from search.training.evaluate import evaluate_model
from search.training.program.cache import on_device
from search.training.program.options import step_options
from search.training.request import Reporter, TrainingRequest
from search.training.warm_start import adopt_weights

STEPS = ("build", "evaluate", "save")


def polish_trial(
    plan: Plan, request: TrainingRequest, data: Dataset, reporter: Reporter, folder: Path
) -> Measurement:
    """Lower the bits of `request.start_from` by the rules of this module; writes files and measures as `run_trial`.

    The measurement has the assignment that comes out; it is the request's if no tensor can have fewer bits. Raises what
    the reporter raises, and ValueError without a model to start from.
    """
    if request.start_from is None or request.polish is None:
        raise ValueError("a model to start from and the loss of the metric that is allowed are needed")
    polish = _Polish(plan, request, data, reporter)
    start = polish.network(request.assignment, keras.models.load_model(request.start_from))
    least = _least_merit(plan, start.result["metric"], request.polish)
    return polish.measurement(polish.lowered(start, least), folder)


def _least_merit(plan: Plan, metric: float, drop: float) -> float:
    share = abs(metric) if plan.spec.objective.direction == MINIMIZE else 1.0
    return factor_of(plan.spec).merit(metric) - drop * share


@dataclass(frozen=True)
class _Network:
    """A network with its weights, what it costs, and what it reaches on the validation data."""

    assignment: Assignment
    model: keras.Model
    cost: Cost
    effective: dict[str, dict[str, float]]
    result: dict[str, Any]


@dataclass
class _Polish:
    plan: Plan
    request: TrainingRequest
    data: Dataset
    reporter: Reporter
    stopwatch: Stopwatch = field(default_factory=lambda: Stopwatch(STEPS))

    def network(self, assignment: Assignment, model: keras.Model) -> _Network:
        """A model of an assignment, measured."""
        self.reporter.batch()
        validation = on_device(self.data, "validation")
        with self.stopwatch.timing("evaluate"), caching_weights(model):
            result = evaluate_model(model, self.plan.task, validation)
            cost, effective = self._cost(assignment, model)
        return _Network(assignment, model, cost, effective, result)

    def _cost(self, assignment: Assignment, model: keras.Model) -> tuple[Cost, dict[str, dict[str, float]]]:
        pricer = self.plan.pricer
        return pricer.effective(assignment, weight_codes(model), pricer.price(assignment))

    def lowered(self, network: _Network, least: float) -> _Network:
        """The network with as few bits as leave its merit at `least` or above."""
        refused: set[tuple[str, QuantizerSpec]] = set()
        while (lower := self._next(network, least, refused)) is not None:
            network = lower
        return network

    def _next(
        self, network: _Network, least: float, refused: set[tuple[str, QuantizerSpec]]
    ) -> _Network | None:
        """One choice lowered; None if none can be. Notes what does not hold in `refused`."""
        factor = factor_of(self.plan.spec)
        for slot, spec, assignment in self._steps(network):
            if (slot.name, spec) in refused:
                continue
            try:
                lower = self.network(assignment, self._rebuilt(network, assignment, slot))
            except (Diverged, Infeasible):
                refused.add((slot.name, spec))
                continue
            if factor.merit(lower.result["metric"]) >= least and lower.cost.value < network.cost.value:
                return lower
            refused.add((slot.name, spec))
        return None

    def _steps(self, network: _Network) -> Iterator[tuple[Slot, QuantizerSpec, Assignment]]:
        """The next candidates of every choice and the assignments with them, cheapest first."""
        values = network.assignment.values
        steps = [
            (slot, spec, self.plan.choices.assignment({**values, slot.name: spec.label}))
            for slot in self.plan.choices.slots
            for spec in next_candidates(slot, values[slot.name])
        ]
        costs = self.plan.pricer.price_many([assignment for _, _, assignment in steps])
        priced = [(cost, index) for index, cost in enumerate(costs) if cost is not None]
        return (steps[index] for _, index in sorted(priced))

    def _rebuilt(self, network: _Network, assignment: Assignment, changed: Slot) -> keras.Model:
        """The model with another quantizer in one slot; everything else is as it was."""
        with self.stopwatch.timing("build"):
            plan = self.plan
            description = trial_description(plan.spec, architecture(plan.job.model))
            model = assemble(assignment, description, self.request.seed)
            adopt_weights(network.model, model)
            _copy_quantizer_states(network.model, model, changed)
        return model

    def measurement(self, network: _Network, folder: Path) -> Measurement:
        """Write the files of a trial and say what it measured."""
        plan, model, assignment = self.plan, network.model, network.assignment
        if assignment.key != self.request.assignment.key:
            options = step_options(plan, weighted=False, teacher=False)
            compile_model(model, plan.spec.training, plan.task, assignment.learning_rate, options)
            model.optimizer.build(model.trainable_variables)
        with self.stopwatch.timing("save"), caching_weights(model):
            cost_options = options_document(
                plan.spec.goal,
                quantized_inputs=any(assignment.quantizers.get(name) for name in plan.network.inputs),
                reference=plain_description(architecture(plan.job.model)) if assignment.widths else None,
            )
            save(model, self.data, folder, cost_options)
        return Measurement(
            metric=network.result["metric"],
            loss=network.result["loss"],
            cost=network.cost,
            durations_s=self.stopwatch.seconds,
            best_epoch=max(self.request.initial_epoch - 1, 0),
            classes=network.result.get("classes"),
            effective=network.effective,
            assignment=assignment,
        )


def next_candidates(slot: Slot, label: Any) -> tuple[QuantizerSpec, ...]:
    """The candidates of a choice that have the most bits below those of the candidate with this label."""
    bits = {spec: spec.data_type().bits for spec in slot.candidates}
    now = next(number for spec, number in bits.items() if spec.label == label)
    below = max((number for number in bits.values() if number < now), default=None)
    return tuple(spec for spec, number in bits.items() if number == below)


def _copy_quantizer_states(source: keras.Model, target: keras.Model, changed: Slot) -> None:
    """Trained steps, thresholds and the like, but for those of the slot that was changed."""
    for layer in target.layers:
        state = getattr(layer, "quantizer_state", None)
        earlier = getattr(source.get_layer(layer.name), "quantizer_state", None)
        if state is None or earlier is None:
            continue
        values = {variable.name: variable for variable in earlier.variables}
        for variable in state.variables:
            is_changed = layer.name in changed.layers and variable.name.startswith(changed.slot)
            same = values.get(variable.name)
            if same is not None and not is_changed and same.shape == variable.shape:
                variable.assign(same)
