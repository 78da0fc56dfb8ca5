"""What a validated job would search, and how long that may take; nothing is stored."""

from __future__ import annotations

from sqlalchemy.orm import Session

from search.cost.pricing import cost_unit
from search.cost.unquantized import cost_warnings, float_layers
from search.exports import search_refusals
from search.history import Cost
from search.plan import Plan
from search.schedules import blocks
from search.space.extremes import Extreme, Extremes, extremes
from search.spec.job import SearchSpec
from service.schemas.dry_run import (
    CandidatesView,
    DataView,
    DryRun,
    EstimateView,
    ExtremeView,
    FloatLayerView,
    InputView,
    NormalizationView,
    WidthView,
)
from service.schemas.jobs import BlockView, CostView
from service.store import pace
from service.views.exports import format_views
from service.views.progress import trials_allowed


def dry_run(session: Session, spec: SearchSpec, plan: Plan, workers: int) -> DryRun:
    """What the job would search, and how long that may take with `workers` workers."""
    size = plan.choices.size()
    ends = extremes(plan.choices, plan.pricer)
    float_views, warnings = _float_layers(plan, ends)
    return DryRun(
        space_size=str(size),
        trials=trials_allowed(spec.budget.trials, size),
        cost_unit=cost_unit(spec.goal),
        reference=CostView.model_validate(plan.reference, from_attributes=True),
        reference_values=plan.pricer.reference_values(),
        blocks=tuple(
            BlockView.model_validate(block, from_attributes=True) for block in blocks(spec, plan.stages)
        ),
        slots=tuple(
            CandidatesView(
                name=slot.name,
                layers=slot.layers,
                slot=slot.slot,
                candidates=tuple(str(candidate) for candidate in slot.candidates),
            )
            for slot in plan.choices.slots
        )
        + _settings(plan),
        widths=tuple(
            WidthView(name=width.name, layers=width.layers, multipliers=width.multipliers)
            for width in plan.choices.widths
        ),
        untouched=_untouched(plan),
        normalizations=_normalizations(plan, None if ends is None else ends.cheapest.cost),
        cheapest=None if ends is None else _extreme(ends.cheapest),
        most_expensive=None if ends is None else _extreme(ends.most_expensive),
        estimate=_estimate(session, spec, trials_allowed(spec.budget.trials, size), workers),
        data=DataView(
            input_shape=plan.data.input_shape,
            inputs=tuple(
                InputView(
                    name=entry.name,
                    shape=entry.shape,
                    preprocessing=entry.preprocessing.method,
                    preprocessing_reason=entry.preprocessing.reason,
                )
                for entry in plan.data.inputs
            ),
            classes=plan.data.classes,
            train_samples=plan.data.train,
            validation_samples=plan.data.validation,
            test_samples=plan.data.test,
            preprocessing=plan.data.preprocessing.method,
            preprocessing_reason=plan.data.preprocessing.reason,
            notes=plan.data.notes,
        ),
        inputs=_inputs(plan),
        exports=format_views(search_refusals(plan)),
        float_layers=float_views,
        warnings=(*plan.warnings, *warnings),
    )


def _normalizations(plan: Plan, cheapest: Cost | None) -> tuple[NormalizationView, ...]:
    """What becomes of each batch normalization, and what it costs."""
    reference = _included(plan.reference)
    trial = {} if cheapest is None else _included(cheapest)
    return tuple(
        NormalizationView(
            layer=choice.layer,
            treatment=choice.treatment,
            into=choice.into,
            reason=choice.reason,
            reference_pj=reference.get(choice.layer),
            cheapest_pj=trial.get(choice.layer),
        )
        for choice in plan.choices.normalizations
    )


def _included(cost: Cost) -> dict[str, float]:
    return {layer.name: layer.included_pj for layer in cost.layers}


def _inputs(plan: Plan) -> dict[str, str]:
    return {
        name: str(quantizer) for name, slots in plan.choices.fixed.items() for quantizer in slots.values()
    }


def _float_layers(plan: Plan, ends: Extremes | None) -> tuple[tuple[FloatLayerView, ...], tuple[str, ...]]:
    """What stays float in the cheapest network, and warnings about what that costs. Spiking networks have no floats."""
    if ends is None or plan.choices.settings:
        return (), ()
    cheapest = ends.cheapest
    layers = float_layers(plan.pricer, cheapest.assignment, cheapest.cost)
    warnings = cost_warnings(plan.choices, plan.pricer, cheapest.assignment, cheapest.cost, plan.reference)
    return tuple(FloatLayerView.model_validate(layer, from_attributes=True) for layer in layers), warnings


def _settings(plan: Plan) -> tuple[CandidatesView, ...]:
    """The choices about a whole network."""
    layers = tuple(layer.name for layer in plan.network.layers if layer.class_name != "InputLayer")
    return tuple(
        CandidatesView(name=name, layers=layers, slot=name, candidates=tuple(map(str, labels)))
        for name, labels in plan.choices.settings.items()
    )


def _extreme(extreme: Extreme) -> ExtremeView:
    return ExtremeView(
        choices=dict(extreme.assignment.values),
        cost=CostView.model_validate(extreme.cost, from_attributes=True),
        exact=extreme.exact,
    )


def _estimate(session: Session, spec: SearchSpec, trials: int, workers: int) -> EstimateView | None:
    speed = pace.pace(session, spec.model_dump(mode="json"))
    if speed is None:
        return None
    workers = max(min(workers, spec.parallel_trials, trials), 1)
    trial_s = speed.trial_s(spec.training.epochs * spec.training.executions)
    job_s = trial_s * trials / workers
    return EstimateView(
        trial_s=trial_s,
        job_s=min(job_s, spec.budget.seconds or job_s),
        workers=workers,
        based_on=speed.trials,
        same_data=speed.same_data,
    )


def _untouched(plan: Plan) -> tuple[str, ...]:
    if plan.choices.settings:
        return ()
    changed = {*plan.choices.quantized, *(name for width in plan.choices.widths for name in width.layers)}
    layers = (layer for layer in plan.network.layers if layer.class_name != "InputLayer")
    return tuple(layer.name for layer in layers if layer.name not in changed)
