"""What is stored of a job that has a plan."""

from __future__ import annotations

from dataclasses import asdict

from search.cost.pricing import cost_unit
from search.plan import Plan
from search.schedules import blocks
from service.store.jobs import NewJob


def planned_job(plan: Plan) -> NewJob:
    """The job of a plan, as `jobs.create` stores it."""
    spec = plan.spec
    return NewJob(
        name=spec.name,
        spec=spec.model_dump(mode="json"),
        cost_unit=cost_unit(spec.goal),
        reference_cost=plan.reference.value,
        reference=asdict(plan.reference),
        reference_values=plan.pricer.reference_values(),
        space_size=str(plan.choices.size()),
        warnings=plan.warnings,
        blocks=[asdict(block) for block in blocks(spec, plan.stages)],
    )
