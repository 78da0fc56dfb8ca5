"""The dry run of a job."""

from __future__ import annotations

from fastapi import APIRouter, Response

from service.api.compute import COMPUTES, ComputeDep
from service.api.deps import READS, BodyDep
from service.api.jobs import JOB_BODY, REFUSED
from service.schemas.dry_run import DryRun

router = APIRouter(tags=["jobs"], dependencies=[READS])


@router.post(
    "/v1/jobs:validate",
    dependencies=[COMPUTES],
    openapi_extra=JOB_BODY,
    responses=REFUSED,
    response_model=DryRun,
)
def validate(body: BodyDep, compute: ComputeDep) -> Response:
    """Dry run: size of the space, reference cost, candidates, the cheapest and the most expensive network, an estimate
    of the time, warnings. Nothing is stored.
    """
    return Response(compute("validate", body), media_type="application/json")
