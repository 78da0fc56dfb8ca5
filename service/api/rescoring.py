"""The ranking of a job's measured trials under another goal: computed, not stored."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from service.api.compute import COMPUTES, ComputeDep
from service.api.deps import READS, BodyDep, JobId
from service.api.responses import problem_responses
from service.schemas.rescore import RescoreView

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], dependencies=[READS])


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
    response_model=RescoreView,
    responses=problem_responses(
        _400="The body is not JSON",
        _404="No such job",
        _415="The body is not application/json",
        _422="The goal is not valid for this job: a pointer and a message for each fault",
    ),
)
def rescore_job(job_id: JobId, body: BodyDep, compute: ComputeDep) -> Response:
    """Rank the measured trials under another goal. Nothing is trained or stored."""
    return Response(compute("rescore", body, job_id=job_id), media_type="application/json")
