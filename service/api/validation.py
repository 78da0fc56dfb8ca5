"""The dry run of a job."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.deps import READS, BlobsDep, DatabaseDep, SettingsDep, SubmissionDep
from service.api.jobs import JOB_BODY, REFUSED
from service.api.planning import plan_of
from service.api.resolving import resolved
from service.schemas.dry_run import DryRun
from service.store import workers
from service.views.dry_run import dry_run

router = APIRouter(tags=["jobs"], dependencies=[READS])


@router.post("/v1/jobs:validate", openapi_extra=JOB_BODY, responses=REFUSED)
def validate(
    submission: SubmissionDep, settings: SettingsDep, database: DatabaseDep, blobs: BlobsDep
) -> DryRun:
    """Dry run: size of the space, reference cost, candidates, the cheapest and the most expensive network, an estimate
    of the time, warnings. Nothing is stored.
    """
    found = resolved(submission, database, blobs)
    plan = plan_of(found, settings.data_folder)
    with database.reading() as session:
        return dry_run(session, found.spec, plan, workers.alive(session, settings.heartbeat))
