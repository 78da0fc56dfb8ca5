"""How often each integer occurs among the weights of a trial: histograms with the quantizer's levels as bins."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from search.trial_files import WEIGHTS_FILE
from service.api.compute import COMPUTES, ComputeDep
from service.api.deps import READS, DatabaseDep, JobId, TrialNumber
from service.api.responses import etag_of, is_known, json_response, mark, not_modified, problem_responses
from service.schemas.history import WeightsView
from service.store import trials

router = APIRouter(prefix="/v1/jobs/{job_id}/trials/{number}/weights", tags=["trials"], dependencies=[READS])


@router.get(
    "",
    dependencies=[COMPUTES],
    response_model=WeightsView,
    responses=problem_responses(
        _404="No such job or trial, or it has no weights", _413="The network is too large to be counted"
    ),
)
def read_weights(
    request: Request, job_id: JobId, number: TrialNumber, database: DatabaseDep, compute: ComputeDep
) -> Response:
    """Histograms of a trial's integer weights, tensor by tensor: how often each level of its quantizer occurs."""
    with database.reading() as session:
        row = trials.artifact(session, trials.get(session, job_id, number), WEIGHTS_FILE)
    etag = etag_of(row.sha256, "weights")
    if is_known(request, etag):
        return not_modified(etag)
    response = json_response(compute("weights", b"", sha256=row.sha256, job_id=job_id, number=number))
    mark(response, etag)
    return response
