"""The ranking of a job's measured trials under another goal: computed, not stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from search.cost.pricing import cost_unit
from search.errors import InvalidSpec, Problem
from search.networks import architecture as models
from search.results.rescoring import UnscoredTrial, rescore
from search.space.normalization import trial_network
from search.spec.job import SearchSpec
from search.spec.resolved import resolve_model
from service.api.compute import COMPUTES
from service.api.deps import READS, BlobsDep, BodyDep, JobId, SessionDep
from service.api.responses import problem_responses
from service.errors import InvalidRequest
from service.parsing import Parsed, invalid_request, parse
from service.schemas.jobs import PointView
from service.schemas.rescore import RescoreSpec, RescoreView
from service.store import analysis, jobs
from service.store.references import BlobLookup

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[READS])


def _request(body: BodyDep) -> Parsed[RescoreSpec]:
    return parse(RescoreSpec, body)


_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RescoreSpec"}}},
    }
}


@router.post(
    "/{job_id}:rescore",
    dependencies=[COMPUTES],
    openapi_extra=_BODY,
    responses=problem_responses(
        _400="The body is not JSON",
        _404="No such job",
        _415="The body is not application/json",
        _422="The goal is not valid for this job: a pointer and a message for each fault",
    ),
)
def rescore_job(
    job_id: JobId,
    request: Annotated[Parsed[RescoreSpec], Depends(_request)],
    session: SessionDep,
    blobs: BlobsDep,
) -> RescoreView:
    """Rank the measured trials under another goal. Nothing is trained or stored."""
    job = jobs.get(session, job_id)
    goal = request.spec.goal
    spec = SearchSpec.model_validate(job.spec)
    measured = [UnscoredTrial(*trial) for trial in analysis.assignments(session, job_id)]
    try:
        network = trial_network(spec, models.network(resolve_model(spec.model, BlobLookup(blobs))))
    except InvalidSpec as error:
        reason = f"the job's network cannot be priced: {error}"
        raise InvalidRequest([Problem("", reason)]) from None
    try:
        ranking = rescore(goal, network, spec.objective.direction, measured, request.spec.k)
    except InvalidSpec as error:
        raise invalid_request(error, request.document) from None
    return RescoreView(
        job_id=job.id,
        goal=goal.model_dump(mode="json"),
        cost_unit=cost_unit(goal),
        reference_cost=ranking.reference,
        metric_name=spec.objective.metric,
        metric_is_share=spec.objective.info.is_share,
        items=tuple(PointView(**asdict(trial)) for trial in ranking.trials),
    )
