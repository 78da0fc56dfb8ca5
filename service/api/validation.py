"""The dry run of a job."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter

from service.api.compute import COMPUTES
from service.api.deps import READS, BlobsDep, DatabaseDep, SettingsDep, SubmissionDep
from service.api.jobs import JOB_BODY, REFUSED
from service.api.planning import plan_of
from service.schemas.dry_run import DryRun
from service.store import workers
from service.store.references import BlobLookup, pinned
from service.views.dry_run import dry_run

router = APIRouter(tags=["jobs"], dependencies=[READS])


@router.post("/v1/jobs:validate", dependencies=[COMPUTES], openapi_extra=JOB_BODY, responses=REFUSED)
def validate(
    submission: SubmissionDep, settings: SettingsDep, database: DatabaseDep, blobs: BlobsDep
) -> DryRun:
    """Dry run: size of the space, reference cost, candidates, the cheapest and the most expensive network, an estimate
    of the time, warnings. Nothing is stored.
    """
    pinned_job = replace(submission, spec=pinned(submission.spec, database))
    plan = plan_of(pinned_job, settings.data_folder, BlobLookup(blobs))
    with database.reading() as session:
        return dry_run(session, plan.spec, plan, workers.alive(session, settings.heartbeat))
